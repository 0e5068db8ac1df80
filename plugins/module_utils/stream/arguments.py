# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of artifact_stream and of the two modules that it runs, each declared once."""

from __future__ import annotations

from typing import Any

# What the action plugin hands on to both sides as it is.
_SHARED: dict[str, dict[str, Any]] = {
    "layout": {"type": "str", "choices": ["image", "directory"], "default": "image"},
    "address": {"type": "str"},
    "ports": {"type": "str", "default": "0"},
    "connections": {"type": "int", "default": 0},
    "connect_timeout": {"type": "float", "default": 30.0},
    "silence_timeout": {"type": "float", "default": 60.0},
    "timeout": {"type": "float", "default": 7200.0},
}

STREAM: dict[str, dict[str, Any]] = {
    "source": {"type": "str", "required": True},
    "src": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
    **_SHARED,
    "listen": {"type": "str", "choices": ["destination", "source"], "default": "destination"},
    "via": {"type": "str", "choices": ["direct", "controller"], "default": "direct"},
    "bandwidth_limit": {"type": "int", "default": 0},
}

_SIDE: dict[str, dict[str, Any]] = {
    **_SHARED,
    "manifest": {"type": "str"},
    "transfer": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "certificate": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "peer_certificate": {"type": "str"},
    "peers": {"type": "list", "elements": "str", "default": []},
    "port": {"type": "int"},
    "tls_client": {"type": "bool", "default": False},
    "seconds": {"type": "float", "default": 0.0},
}

SEND: dict[str, dict[str, Any]] = {
    "operation": {"type": "str", "required": True, "choices": ["prepare", "listen", "connect", "wait", "stop"]},
    "src": {"type": "path"},
    "bandwidth_limit": {"type": "int", "default": 0},
    **_SIDE,
}

RECEIVE: dict[str, dict[str, Any]] = {
    "operation": {"type": "str", "required": True, "choices": ["plan", "listen", "connect", "wait", "stop"]},
    "dest": {"type": "path"},
    **_SIDE,
}
