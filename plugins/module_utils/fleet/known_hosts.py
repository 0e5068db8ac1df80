# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of an OpenSSH known_hosts file for builders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DEFAULT_PORT = 22


def known_hosts_name(address: str, port: int = DEFAULT_PORT) -> str:
    """The name under which OpenSSH looks a host up: plain for port 22, [address]:port otherwise."""
    return address if port == DEFAULT_PORT else f"[{address}]:{port}"


def known_hosts_lines(builders: Iterable[Mapping[str, Any]]) -> list[str]:
    """One sorted line per address, port and published key."""
    return sorted({line for facts in builders for line in _lines_of(facts)})


def _lines_of(facts: Mapping[str, Any]) -> Iterable[str]:
    address = facts["builder_address"]
    if not address:
        return
    if facts["builder_host_key"]:
        yield _line(address, facts["builder_port"], facts["builder_host_key"])
    for endpoint in facts["builder_endpoints"]:
        for key in endpoint["host_keys"]:
            yield _line(address, endpoint["port"], key)


def _line(address: str, port: int, key: str) -> str:
    return f"{known_hosts_name(address, port)} {' '.join(key.split()[:2])}"
