# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts `up` and `down` of a lab's network before each of their commands and runs them again; run in namespaces of its own.

Prints, for each cut of `up`, whether the network stands as it does without a cut, and for each of `down`, whether it is gone.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import Any

import lab_network

NETWORK = lab_network.Network(
    "lab",
    "/srv/lab",
    ipaddress.IPv4Network("192.0.2.0/24"),
    "192.0.2.1",
    "192.0.2.2",
    {"web": "192.0.2.11"},
)
run = lab_network.run


class Cut(Exception):
    """The run ends here."""


def counted(limit: int) -> list[str]:
    """Let this many commands pass, and remember them."""
    passed: list[str] = []

    def run_or_cut(*command: str) -> str:
        if len(passed) == limit:
            raise Cut
        passed.append(" ".join(command))
        return run(*command)

    lab_network.run = run_or_cut
    return passed


def cut(action: Any, limit: int) -> bool:
    counted(limit)
    try:
        action(NETWORK)
    except Cut:
        return True
    finally:
        lab_network.run = run
    return False


def state() -> list[Any]:
    found: list[Any] = [sorted(lab_network.present_namespaces(NETWORK))]
    for where in ([], *(["-n", name] for name in found[0])):
        for link in lab_network.query(*where, "address", "show"):
            addresses = [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet"]
            seen = [link["ifname"], link.get("ifalias"), link.get("master"), "UP" in link["flags"], addresses]
            found.append([*where, *seen])
    return sorted(found, key=str)


def cuts(action: Any, prepare: Any, wanted: list[Any]) -> list[bool]:
    results: list[bool] = []
    while True:
        prepare()
        if not cut(action, len(results)):
            return results
        action(NETWORK)
        results.append(state() == wanted and not action(NETWORK))


def main() -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    gone = state()
    lab_network.up(NETWORK)
    whole = state()
    ups = cuts(lab_network.up, lambda: lab_network.down(NETWORK), whole)
    downs = cuts(lab_network.down, lambda: lab_network.up(NETWORK), gone)
    print(json.dumps({"up": ups, "down": downs, "links": len(whole)}))


if __name__ == "__main__":
    main()
