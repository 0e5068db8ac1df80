# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of module nix_build, and what they mean to Nix."""

from __future__ import annotations

import os
from typing import Any

from .evaluation import Source
from .forecast import Target
from .result import Request
from .ssh import Peer

SOURCES = ["file", "expression", "flake", "derivation", "path"]

# How ssh reaches another host: modules nix_build and nix_copy.
SSH = {
    "ssh_key": {"type": "path", "no_log": False},
    "ssh_known_hosts": {"type": "path"},
    "ssh_config": {"type": "str", "default": "none"},
    "ssh_options": {"type": "list", "elements": "str", "default": []},
}

BUILD = {
    "file": {"type": "path"},
    "expression": {"type": "str"},
    "flake": {"type": "str"},
    "derivation": {"type": "str"},
    "path": {"type": "str"},
    "attr": {"type": "str"},
    "args": {"type": "dict", "default": {}},
    "search_path": {"type": "dict", "default": {}},
    "evaluate_only": {"type": "bool", "default": False},
    "build_host": {"type": "str"},
    "out_link": {"type": "path"},
    "rebuild": {"type": "bool", "default": False},
    "store": {"type": "str"},
    "builders": {"type": "str"},
    "max_jobs": {"type": "str"},
    "cores": {"type": "int"},
    "substituters": {"type": "list", "elements": "str"},
    "keep_going": {"type": "bool", "default": False},
    "options": {"type": "dict", "default": {}},
    "log_lines": {"type": "int", "default": 40},
    "progress": {"type": "int", "default": 0},
    **SSH,
}
EXCLUSIVE = [SOURCES, ["evaluate_only", "rebuild"], ["evaluate_only", "derivation", "path"], ["rebuild", "path"]]


def settings(params: dict[str, Any]) -> dict[str, Any]:
    """The options that are settings of Nix, under their names in nix.conf."""
    builders = params["builders"]
    return {
        "store": params["store"],
        # One line, as nix.conf wants it.
        "builders": None if builders is None else " ; ".join(row for row in builders.splitlines() if row.strip()),
        "max-jobs": params["max_jobs"],
        "cores": params["cores"],
        "substituters": params["substituters"],
        "keep-going": params["keep_going"] or None,
        **params["options"],
    }


def request(params: dict[str, Any]) -> Request:
    """What the options ask for."""
    source = {name: params[name] for name in [*SOURCES, "attr", "args", "search_path"]}
    wanted = {name: params[name] for name in ("evaluate_only", "out_link", "rebuild", "log_lines")}
    return Request(source=Source(**source), target=target(params), **wanted)


def target(params: dict[str, Any]) -> Target:
    """The store in which it would be built."""
    if not params["build_host"]:
        return Target(params["store"] or os.environ.get("NIX_REMOTE") or "auto")
    host = peer(params["build_host"], params)
    return Target(host.store, host.environment())


def peer(address: str, params: dict[str, Any]) -> Peer:
    """Another host, as the options describe it."""
    return Peer(
        to=address,
        key=params["ssh_key"],
        known_hosts=params["ssh_known_hosts"],
        config=params["ssh_config"],
        options=tuple(params["ssh_options"]),
    )
