# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenSSH is told of builders: to notice within a minute that one is gone.

A machine that the provider takes back ends no connection. Without this, ssh waits for it as long as the kernel's keepalive does, for two
hours, and the build that Nix gave it with it (ssh_config(5), TCPKeepAlive and ServerAliveInterval).
"""

from __future__ import annotations

from collections.abc import Iterable

OPTIONS = ("ServerAliveInterval 15", "ServerAliveCountMax 4")


def keepalive_config(addresses: Iterable[str]) -> str:
    """The text of a file that ssh_config includes, for these machines and no others."""
    names = sorted(set(addresses))
    if not names:
        return "# No machine.\n"
    return "".join(f"{line}\n" for line in (f"Host {' '.join(names)}", *(f"  {option}" for option in OPTIONS)))
