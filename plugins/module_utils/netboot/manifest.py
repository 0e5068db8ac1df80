# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image manifest: what an image directory says of itself."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .errors import NetbootError
from .names import DIGEST, FILE_NAME, KERNEL_NAME, check_image_id

SCHEMA = 1
# As many as a stream carries.
MAX_FILES = 200_000
ROLES = ("kernel", "initrd", "segment")


class ImageFile(NamedTuple):
    """One file of an image; its contents are a blob of the store."""

    name: str
    role: str
    size: int
    sha256: str


class Manifest(NamedTuple):
    """A manifest that was checked, with the document it came from."""

    image_id: str
    system: str
    kernel_params: tuple[str, ...]
    files: tuple[ImageFile, ...]
    document: dict[str, Any]

    def of_role(self, role: str) -> list[ImageFile]:
        """The files of one role, in boot order."""
        return [file for file in self.files if file.role == role]

    @property
    def kernel(self) -> ImageFile:
        """The one kernel."""
        return self.of_role("kernel")[0]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def canonical(document: dict[str, Any]) -> bytes:
    """The one way in which a manifest is written, so that equal ones have equal digests."""
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def read_manifest(text: bytes, origin: str) -> Manifest:
    """A manifest from the bytes of a file."""
    try:
        document = json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise NetbootError(f"{origin} is not JSON ({error}); stream the image again.") from error
    return check_manifest(document, origin)


def check_manifest(document: object, origin: str) -> Manifest:
    """A manifest from a parsed document; what is wrong in it is named."""
    if not isinstance(document, dict):
        raise NetbootError(f"{origin}: a manifest is a dictionary.")
    schema = document.get("schema")
    # JSON's true and 1.0 are equal to 1 in Python.
    if isinstance(schema, (bool, float)) or schema != SCHEMA:
        raise NetbootError(f"{origin}: schema is {schema!r}, this version of the collection publishes schema {SCHEMA}.")
    image = {key: value for key, value in document.items() if key != "release"}
    try:
        _check_plans(image.get("plans"))
        return Manifest(
            check_image_id(image.get("image_id")),
            _text(image, "system"),
            _words(image.get("kernel_params", [])),
            _files(image.get("files")),
            image,
        )
    except NetbootError as error:
        raise NetbootError(f"{origin}: {error}") from error


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise NetbootError(f"{key} is missing or is not text.")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise NetbootError("kernel_params is not a list of texts.")
    return tuple(value)


def _check_plans(value: object) -> None:
    """Whoever buys machines reads them; a release only hands them on."""
    if value is not None and not (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        raise NetbootError(
            "plans is not a list of names; an image that does not say which plans it is for has no such field."
        )


def _files(value: object) -> tuple[ImageFile, ...]:
    if not isinstance(value, list):
        raise NetbootError("files is not a list.")
    if len(value) > MAX_FILES:
        raise NetbootError(f"files holds {len(value)} entries; an image has up to {MAX_FILES}.")
    files = tuple(_file(entry, f"files[{index}]") for index, entry in enumerate(value))
    _check_names(files)
    kernels = sum(file.role == "kernel" for file in files)
    if kernels != 1:
        raise NetbootError(f"there are {kernels} files of role kernel; an image has exactly one.")
    if not any(file.role == "initrd" for file in files):
        raise NetbootError("there is no file of role initrd; iPXE would boot a kernel without a root.")
    return files


def _check_names(files: tuple[ImageFile, ...]) -> None:
    """Each name once, and the one that the boot script gives to the kernel for no other file."""
    names: set[str] = set()
    for file in files:
        if file.name in names:
            raise NetbootError(f"two files are named {file.name}.")
        if file.name == KERNEL_NAME and file.role != "kernel":
            raise NetbootError(f"a file of role {file.role} is named {KERNEL_NAME}, as iPXE calls the kernel itself.")
        names.add(file.name)


def _file(entry: object, where: str) -> ImageFile:
    if not isinstance(entry, dict):
        raise NetbootError(f"{where} is not a dictionary.")
    name, role, size, digest = (entry.get(key) for key in ("name", "role", "size", "sha256"))
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise NetbootError(f"{where}: name {name!r} is not up to 64 letters, digits, '.', '_' and '-'.")
    if not isinstance(role, str) or role not in ROLES:
        raise NetbootError(f"{where} ({name}): role {role!r} is not one of {', '.join(ROLES)}.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise NetbootError(f"{where} ({name}): size {size!r} is not a number of bytes above zero.")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise NetbootError(f"{where} ({name}): sha256 {digest!r} is not 64 lower-case hexadecimal digits.")
    return ImageFile(name, role, size, digest)
