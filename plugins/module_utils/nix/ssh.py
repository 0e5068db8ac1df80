# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another host by SSH, as Nix's programs want it described."""

from __future__ import annotations

import dataclasses
import re

from .errors import NixError

ADDRESS = re.compile(
    r"ssh://(?P<login>(?:[^@/\s]+@)?)(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/\s\[\]?]+)(?::(?P<port>\d{1,5}))?/?"
)

# A host that is gone must not be waited for without end, and nobody is there to answer a question.
ALWAYS = ("BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4")


@dataclasses.dataclass(frozen=True)
class Peer:
    """A login on another host, and how ssh gets there."""

    to: str
    key: str | None = None
    known_hosts: str | None = None
    config: str = "none"
    options: tuple[str, ...] = ()

    @property
    def login(self) -> str:
        """user@host, for nix-copy-closure."""
        found = self._parts()
        return found["login"] + found["host"].strip("[]")

    @property
    def store(self) -> str:
        """The address as a Nix store; the port is among the options, because Nix takes none in it."""
        return f"ssh://{self.login}"

    def environment(self) -> dict[str, str]:
        """NIX_SSHOPTS, which Nix splits at spaces."""
        words = ["-F", self.config]
        if self.key:
            words += ["-i", self.key, "-o", "IdentitiesOnly=yes"]
        port = self._parts()["port"]
        if port:
            words += ["-p", port]
        for option in [*self.options, *self._known_hosts(), *ALWAYS]:
            words += ["-o", option]
        for word in words:
            if not word or any(character.isspace() for character in word):
                raise NixError(
                    f"SSH option {word!r} is empty or has a space, and Nix (NIX_SSHOPTS) takes neither: use names without spaces."
                )
        return {"NIX_SSHOPTS": " ".join(words)}

    def _known_hosts(self) -> list[str]:
        if not self.known_hosts:
            return []
        return [f"UserKnownHostsFile={self.known_hosts}", "GlobalKnownHostsFile=none", "StrictHostKeyChecking=yes"]

    def _parts(self) -> re.Match[str]:
        found = ADDRESS.fullmatch(self.to)
        if not found:
            raise NixError(f"{self.to!r} is not an address like ssh://user@host or ssh://user@host:port.")
        return found
