# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON over HTTP, read on a host that has nothing but what Ansible brings. An error names the address without what is secret in it."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any, NamedTuple

from ansible.module_utils.urls import open_url

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError

# A queue of a hundred thousand steps is told in far less.
LONGEST_ANSWER = 64 * 1024 * 1024
ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 30},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
}


class Source(NamedTuple):
    """Where to ask, and as whom."""

    url: str
    timeout: int = 30
    validate_certs: bool = True
    ca_path: str | None = None
    url_username: str | None = None
    url_password: str | None = None


def read_json(source: Source) -> Any:
    """The answer's JSON. Credentials are not passed on to where a redirect leads."""
    try:
        with open_url(  # type: ignore[no-untyped-call]
            source.url,
            headers={"Accept": "application/json"},
            timeout=source.timeout,
            validate_certs=source.validate_certs,
            ca_path=source.ca_path,
            url_username=source.url_username,
            url_password=source.url_password,
            force_basic_auth=source.url_username is not None,
            follow_redirects="safe",
            unredirected_headers=["Authorization"],
            http_agent="nixmetal.builders",
        ) as answer:
            body = answer.read(LONGEST_ANSWER + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise FleetError(f"{without_secrets(source.url)} cannot be read: {without_secrets(str(error))}") from error
    return _parsed(body, source.url)


def without_secrets(text: str) -> str:
    """The text with what stands before the host of an address, and behind its question mark, taken out."""
    return re.sub(r"(//)[^/@\s]*@", r"\1***@", re.sub(r"(https?://[^?\s]*)\?\S*", r"\1?***", text))


def _parsed(body: bytes, url: str) -> Any:
    if len(body) > LONGEST_ANSWER:
        raise FleetError(f"{without_secrets(url)} answers with more than {LONGEST_ANSWER} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise FleetError(f"{without_secrets(url)} does not answer with JSON") from error
