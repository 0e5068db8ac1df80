# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to travel: read from text that may come from anywhere, and refused when in doubt."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from . import limits
from .errors import ManifestError

SCHEMA = 1
KERNEL_NAME = "kernel"  # what the boot script calls the kernel
ROLES = ("kernel", "initrd", "segment")
DIGEST = re.compile(r"[0-9a-f]{64}")
IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._=-]{0,210}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True)
class Piece:
    """A range of a file that may be found in another file too."""

    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: its name in the manifest and its contents."""

    name: str
    size: int
    sha256: str
    mode: int = 0o444
    pieces: tuple[Piece, ...] = ()


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A manifest that was checked."""

    layout: str
    image_id: str
    entries: tuple[Entry, ...]
    directories: tuple[tuple[str, int], ...]
    text: str

    def contents(self) -> dict[str, Entry]:
        """One entry for every different contents, in the manifest's order: identical files travel once."""
        found: dict[str, Entry] = {}
        for entry in self.entries:
            found.setdefault(entry.sha256, entry)
        return found

    @property
    def size(self) -> int:
        """Bytes of all different contents together."""
        return sum(entry.size for entry in self.contents().values())


def load(text: str) -> dict[str, Any]:
    """Parse a manifest; what no honest maker writes (duplicate keys, huge numbers, endless nesting) is refused."""
    if len(text) > limits.MAX_MANIFEST:
        raise ManifestError(f"the manifest has {len(text)} characters, more than {limits.MAX_MANIFEST}")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_int=_integer, parse_constant=_constant)
    except (ValueError, RecursionError) as problem:
        raise ManifestError(f"the manifest is not JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not a dictionary")
    schema = document.get("schema")
    if isinstance(schema, (bool, float)) or schema != SCHEMA:  # true and 1.0 are equal to 1
        raise ManifestError(f"the manifest's schema is {schema!r}, this version understands {SCHEMA}")
    return document


def read_image(text: str) -> Manifest:
    """The manifest of an image directory."""
    document = load(text)
    image_id = document.get("image_id")
    if not isinstance(image_id, str) or not IMAGE_ID.fullmatch(image_id):
        raise ManifestError(f"image_id {image_id!r} cannot be the name of a store path")
    files = _list(document, "files")
    entries = tuple(_image_entry(item, f"files[{index}]") for index, item in enumerate(files))
    if not entries:
        raise ManifestError("the manifest names no file")
    manifest = Manifest("image", image_id, entries, (), text)
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Refuse what is wrong with the files taken together."""
    if len(manifest.entries) + len(manifest.directories) > limits.MAX_FILES:
        raise ManifestError(f"the manifest names more than {limits.MAX_FILES} files")
    if sum(len(entry.pieces) for entry in manifest.entries) > limits.MAX_PIECES:
        raise ManifestError(f"the manifest names more than {limits.MAX_PIECES} pieces")
    names: set[str] = set()
    sizes: dict[str, int] = {}
    for entry in manifest.entries:
        if entry.name in names:
            raise ManifestError(f"two files are named {entry.name}")
        names.add(entry.name)
        if sizes.setdefault(entry.sha256, entry.size) != entry.size:
            raise ManifestError(f"{entry.name} has the digest of a file of another size")
    if sum(sizes.values()) > limits.MAX_SIZE:
        raise ManifestError(f"the files have more than {limits.MAX_SIZE} bytes together")


def check_size(value: object, where: str) -> int:
    """A number of bytes."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limits.MAX_SIZE:
        raise ManifestError(f"{where}: size {value!r} is not a number of bytes up to {limits.MAX_SIZE}")
    return value


def check_digest(value: object, where: str) -> str:
    """A SHA-256 in lower-case hexadecimal digits."""
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise ManifestError(f"{where}: sha256 {value!r} is not 64 lower-case hexadecimal digits")
    return value


def check_item(item: object, where: str) -> dict[str, Any]:
    """An entry of a list."""
    if not isinstance(item, dict):
        raise ManifestError(f"{where} is not a dictionary")
    return item


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list) or len(value) > limits.MAX_FILES:
        raise ManifestError(f"{key} is not a list of at most {limits.MAX_FILES}")
    return value


def _image_entry(item: object, where: str) -> Entry:
    fields = check_item(item, where)
    name, role = fields.get("name"), fields.get("role")
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise ManifestError(f"{where}: name {name!r} is not up to 64 letters, digits, '.', '_' and '-'")
    if not isinstance(role, str) or role not in ROLES:
        raise ManifestError(f"{where} ({name}): role {role!r} is not one of {', '.join(ROLES)}")
    if name == KERNEL_NAME and role != "kernel":
        raise ManifestError(f"{where}: a file of role {role} is named {name}, as iPXE calls the kernel itself")
    size = check_size(fields.get("size"), f"{where} ({name})")
    if size == 0:
        raise ManifestError(f"{where} ({name}): size 0, and no file of an image is empty")
    digest = check_digest(fields.get("sha256"), f"{where} ({name})")
    return Entry(name, size, digest, pieces=_pieces(fields.get("pieces"), size, f"{where} ({name})"))


def _pieces(value: object, size: int, where: str) -> tuple[Piece, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > limits.MAX_PIECES:
        raise ManifestError(f"{where}: pieces is not a list of at most {limits.MAX_PIECES}")
    pieces = []
    for index, item in enumerate(value):
        label = f"{where}, pieces[{index}]"
        fields = check_item(item, label)
        pieces.append(Piece(check_size(fields.get("size"), label), check_digest(fields.get("sha256"), label)))
    if sum(piece.size for piece in pieces) != size:
        raise ManifestError(f"{where}: the pieces do not fill the file")
    return tuple(pieces)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one dictionary")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number of more than 20 digits")
    return int(digits)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
