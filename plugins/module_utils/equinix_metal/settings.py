# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the API is reached, checked before anything is sent: endpoint, token, project, time limits, certificates."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError

URL_NAMES = ("METAL_API_URL",)
TOKEN_NAMES = ("METAL_AUTH_TOKEN", "PACKET_AUTH_TOKEN", "PACKET_API_TOKEN")
TOKEN_FILE_NAMES = ("METAL_AUTH_TOKEN_FILE",)
PROJECT_NAMES = ("METAL_PROJECT_ID", "PACKET_PROJECT_ID")
TIMEOUT_NAMES = ("METAL_API_TIMEOUT",)
TRIES_NAMES = ("METAL_API_TRIES",)
CA_FILE_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

# Far more than any token; whoever names another file by mistake shall not find it in a header.
LONGEST_TOKEN = 4096

_PROJECT = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The checked settings. The token is left out of what is shown of them."""

    url: str
    token: str = dataclasses.field(repr=False)
    project_id: str = ""
    timeout: float = 30.0
    tries: int = 5
    ca_file: str | None = None


def from_options(options: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Settings from the options of a module or plugin, which have looked into the environment already."""
    return Settings(
        url=_url(_text(options, "metal_api_url")),
        token=_token(_text(options, "metal_auth_token"), _text(options, "metal_auth_token_file")),
        project_id=_project(_text(options, "project_id")),
        timeout=_positive(options, "metal_api_timeout", 30.0),
        tries=max(1, int(options.get("metal_api_tries") or 5)),
        ca_file=_ca_file(_text(options, "metal_ca_file"), environment),
    )


def with_project(settings: Settings, project_id: str) -> Settings:
    """The same, for another project."""
    return dataclasses.replace(settings, project_id=_project(project_id))


def _text(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name)
    return "" if value is None else str(value).strip()


def _missing(what: str, option: str, variables: tuple[str, ...]) -> SettingError:
    return SettingError(f"{what} is not set: set the option {option} or the environment variable {variables[0]}.")


def _url(value: str) -> str:
    if not value:
        raise _missing("The URL of the Equinix Metal API", "metal_api_url", URL_NAMES)
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    # Before any message that shows the URL: whatever stands before an @ may be a password.
    if "@" in value:
        raise SettingError("metal_api_url must not hold a user name or password; the token goes into metal_auth_token.")
    shown = value.partition("?")[0].partition("#")[0]
    if not sound:
        raise SettingError(f"metal_api_url is not a URL such as https://metal.example.org/metal/v1: {shown}")
    if parts.query or parts.fragment:
        raise SettingError(f"metal_api_url must end with its path, without a query or a fragment, after {shown}")
    return value.rstrip("/")


def _token(given: str, path: str) -> str:
    held = _in_file(path)
    if given and held and given != held:
        raise SettingError(
            f"metal_auth_token (or {TOKEN_NAMES[0]}) and metal_auth_token_file (or {TOKEN_FILE_NAMES[0]}) hold different tokens, "
            f"maybe of different accounts: take one of them away. The file is {path}."
        )
    value = given or held
    if not value:
        raise SettingError(
            f"The API token is not set: set the option metal_auth_token or the environment variable {TOKEN_NAMES[0]}, or, for a file "
            f"that holds it, metal_auth_token_file or {TOKEN_FILE_NAMES[0]}."
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SettingError("metal_auth_token holds characters that no token has, such as spaces or line breaks.")
    return value


def _in_file(path: str) -> str:
    """What a file holds that holds a token; nothing when none is named."""
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read(LONGEST_TOKEN + 1).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"metal_auth_token_file cannot be read: {path}: {reason}") from None
    if not token or len(token) > LONGEST_TOKEN:
        raise SettingError(f"metal_auth_token_file must hold the API token and nothing else: {path}")
    return token


def _project(value: str) -> str:
    if not value:
        raise _missing("The project", "project_id", PROJECT_NAMES)
    if not _PROJECT.fullmatch(value):
        raise SettingError(f"project_id is not the id (UUID) of a project: {value}")
    return value


def _positive(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name)
    number = default if value is None else float(value)
    if not 0 < number <= 3600:
        raise SettingError(f"{name} must be more than 0 and at most 3600 seconds, not {number:g}.")
    return number


def _ca_file(value: str, environment: Mapping[str, str]) -> str | None:
    named = [("metal_ca_file", value)] + [(name, environment.get(name, "")) for name in CA_FILE_NAMES]
    for name, path in named:
        if path:
            if not os.path.isfile(path):
                raise SettingError(f"{name} names {path}, which is not a file.")
            return path
    return None
