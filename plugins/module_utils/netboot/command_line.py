# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel command line of a release: what it is made of, what it may hold, how long it may be.

An iPXE script has no quotes: a line is cut at white space and joined again with single spaces, `${...}` is a setting,
a word that begins with `#` starts a comment, and `||`, `&&`, `;` part commands (iPXE's core/exec.c). The kernel knows
double quotes around a value with spaces. What would not arrive as it was written is refused.
"""

from __future__ import annotations

import re

from .errors import NetbootError
from .manifest import Manifest
from .names import KERNEL_NAME

# COMMAND_LINE_SIZE of the kernel counts the NUL at the end. iPXE cuts what is longer without a word.
SIZE_LIMITS = {"riscv64-linux": 1024}
SIZE_LIMIT = 2048
OWN_PARAMETERS = ("initrd", "nixmetal.image", "nixmetal.blobs")
SEPARATORS = ("||", "&&", ";")
PRINTABLE = re.compile(r"[ -~]+")


def check_parameters(parameters: tuple[str, ...], origin: str) -> None:
    """Refuse a parameter that would not reach the kernel as it stands, or that the script sets itself."""
    for parameter in parameters:
        problem = _problem(parameter)
        if problem:
            raise NetbootError(f"{origin}: kernel parameter {parameter!r} {problem}")


def _problem(parameter: str) -> str | None:
    """What is wrong with one parameter."""
    if not PRINTABLE.fullmatch(parameter):
        return "is empty or holds something other than printable ASCII; an iPXE script cannot carry it."
    if "${" in parameter:
        return "holds '${', which iPXE would replace by one of its settings."
    if parameter.partition("=")[0] in OWN_PARAMETERS:
        return "is set by the release itself; remove it."
    if parameter.endswith("\\"):
        return "ends with a backslash, which would join two lines of the iPXE script."
    return _problem_of_words(parameter)


def _problem_of_words(parameter: str) -> str | None:
    """What is wrong with the spaces and quotes in one parameter."""
    if parameter.count('"') % 2:
        return "has a double quote without its partner."
    words = parameter.split(" ")
    if "" in words:
        return "begins or ends with a space or holds two in a row; iPXE joins words with single spaces."
    outside = "".join(parameter.split('"')[::2])
    if " " in outside:
        return 'is more than one parameter; give each its own list entry, or quote a value with spaces: name="a b".'
    if any(word.startswith("#") or word in SEPARATORS for word in words):
        return "holds a word that iPXE takes for a comment or for the end of a command."
    return None


def own_parameters(manifest: Manifest, blobs_url: str) -> list[str]:
    """What the release adds: the initrds by name for UEFI, the image id, and for segments the address of the blobs."""
    added = [f"initrd={file.name}" for file in manifest.of_role("initrd")]
    added.append(f"nixmetal.image={manifest.image_id}")
    if manifest.of_role("segment"):
        added.append(f"nixmetal.blobs={blobs_url}")
    return added


def command_line(manifest: Manifest, channel_parameters: tuple[str, ...], blobs_url: str) -> str:
    """The whole command line. The channel's parameters come last, because the kernel lets the last one win."""
    check_parameters(manifest.kernel_params, "manifest")
    check_parameters(channel_parameters, "kernel_params")
    words = [*own_parameters(manifest, blobs_url), *manifest.kernel_params, *channel_parameters]
    line = " ".join(words)
    limit = SIZE_LIMITS.get(manifest.system, SIZE_LIMIT)
    # UEFI's load options begin with the image's name, and the kernel's EFI stub counts it.
    length = len(f"{KERNEL_NAME} {line}") + 1
    if length > limit:
        raise NetbootError(
            f"kernel_params: the command line takes {length} bytes with its name and end, the kernel of "
            f"{manifest.system} reads {limit}, and iPXE cuts the rest without a word. Shorten the parameters of the "
            "channel or of the image."
        )
    return line
