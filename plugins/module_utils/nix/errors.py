# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with Nix, in words for the operator."""

from __future__ import annotations

import re
from typing import Any

IDLE = ("warning:", "(use '--show-trace'")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NO_SPACE = "No space left on device"

NOWHERE = "don't know how to build these paths"
UNREACHABLE = "unable to download"
RETRYING = "; retrying in "


class NixError(Exception):
    """One message that says what failed and what to do; details become fields of the module's result."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class NixMissing(NixError):
    """Nix's programs are not on this host."""


def plain(text: str) -> str:
    """Text without terminal colours."""
    return ESCAPE.sub("", text)


def essence(stderr: str) -> str:
    """The error itself: from the last line that begins with "error:" on (before it, Nix prints how it came there)."""
    lines = [line for line in plain(stderr).splitlines() if line.strip() and not line.startswith(IDLE)]
    starts = [number for number, line in enumerate(lines) if line.lstrip().startswith("error:")]
    if not starts:
        return "\n".join(lines[-5:])
    return "\n".join(lines[starts[-1] :]).strip()


def remedy(text: str, host: str) -> str:
    """What an operator can do about an error that Nix reports in its own words."""
    for sign, advice in REMEDIES.items():
        if sign in text:
            return " " + advice.format(host=host)
    return ""


_NOBODY_BUILDS = (
    "Neither this host nor a builder may build it: check 'max_jobs', 'builders' and the system and features that the "
    "derivation wants."
)
_NO_DAEMON = (
    "The Nix of {host} asks a daemon, because NIX_REMOTE says so or for want of rights of its own, and none answers: start "
    "nix-daemon there."
)
REMEDIES = {
    NO_SPACE: "There is no space left on {host}: remove old results (nix-collect-garbage) or enlarge the file system of /nix.",
    UNREACHABLE: "{host} does not reach that address, or is refused there: check the network, the address, and a login that it needs "
    "(netrc-file in nix.conf). What was fetched is kept, and a next run goes on from there.",
    NOWHERE: "None of the binary caches of {host} has it: check 'substituters', and the keys that {host} trusts "
    "(trusted-public-keys).",
    "hash mismatch in fixed-output derivation": "What was fetched is not what the expression expects: if it is the right thing, "
    "put the hash that it got into the expression.",
    "failed due to signal 9": "Signal 9 mostly means that the host ran out of memory: its kernel log tells.",
    "Failed to find a machine for remote build": "No builder took it: check that the rows of 'builders' name the wanted "
    "system and features, and that this host reaches them by SSH.",
    # As 2.8 and 2.26 say it, and then as 2.34 does.
    "nable to start any build": _NOBODY_BUILDS,
    "' with features {": _NOBODY_BUILDS,
    "local builds are disabled": _NOBODY_BUILDS,
    "platform mismatch": _NOBODY_BUILDS,
    "missing system features": _NOBODY_BUILDS,
    "Host key verification failed": "The host key is not the expected one: compare the known_hosts file with the host.",
    "Permission denied (publickey": "The other host does not accept the SSH key.",
    "lacks a valid signature": "The login on the receiving host is not among its trusted-users (nix.conf; "
    "role nix_host, nix_host_settings).",
    "lacks a signature": "The login on the receiving host is not among its trusted-users (nix.conf; "
    "role nix_host, nix_host_settings).",
    "the group 'nixbld' specified in 'build-users-group' does not exist": "Role nix_host makes the build users, "
    "or sets build-users-group to nothing.",
    "option 'allow-import-from-derivation' is disabled": "The expression imports what would have to be built first, and "
    "check mode builds nothing: only a real run can evaluate it.",
    "cannot connect to socket": _NO_DAEMON,
    "cannot connect to daemon": _NO_DAEMON,
    "experimental Nix feature 'flakes' is disabled": "Nix on {host} does not know flakes; use 'file' instead.",
}
