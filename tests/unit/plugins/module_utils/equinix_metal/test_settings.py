# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings: each that is missing or senseless is named, and nothing shows the token."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import from_options

GOOD = {"metal_api_url": "https://m.test/metal/v1/", "metal_auth_token": " secret\n", "project_id": "7d1b3f0e-52c4"}


def test_good_settings() -> None:
    settings = from_options(GOOD, {})
    assert (settings.url, settings.token, settings.project_id) == ("https://m.test/metal/v1", "secret", "7d1b3f0e-52c4")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metal_api_url": None}, "set the option metal_api_url or the environment variable METAL_API_URL"),
        ({"metal_api_url": ""}, "metal_api_url"),
        ({"metal_api_url": "metal.test"}, "not a URL"),
        ({"metal_api_url": "ftp://metal.test"}, "not a URL"),
        ({"metal_api_url": "http://metal.test:port"}, "not a URL"),
        ({"metal_api_url": "http://u:hush@metal.test"}, "must not hold a user name"),
        ({"metal_api_url": "ftp://u:hush@metal.test"}, "must not hold a user name"),
        ({"metal_api_url": "http://u:hush@metal.test:port"}, "must not hold a user name"),
        ({"metal_api_url": "http://metal.test?x=1"}, "without a query"),
        ({"metal_api_url": "http://metal.test?token=hush"}, "without a query"),
        ({"metal_auth_token": None}, "metal_auth_token or the environment variable METAL_AUTH_TOKEN"),
        ({"metal_auth_token": "two words"}, "characters that no token has"),
        ({"metal_auth_token": "t\u00f6ken"}, "characters that no token has"),
        ({"project_id": " "}, "project_id or the environment variable METAL_PROJECT_ID"),
        ({"project_id": "../x"}, "project_id is not"),
        ({"metal_api_timeout": 0}, "metal_api_timeout"),
        ({"metal_ca_file": "/nowhere/ca.pem"}, "metal_ca_file names /nowhere/ca.pem"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        from_options({**GOOD, **change}, {})
    assert words in str(caught.value)
    for secret in ("hush", "two words", "t\u00f6ken", "secret"):
        assert secret not in str(caught.value)


def test_the_certificates_come_from_the_environment(tmp_path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("")
    assert from_options(GOOD, {"REQUESTS_CA_BUNDLE": str(file)}).ca_file == str(file)
    with pytest.raises(SettingError, match="SSL_CERT_FILE"):
        from_options(GOOD, {"SSL_CERT_FILE": "/nowhere", "REQUESTS_CA_BUNDLE": str(file)})


def test_the_token_may_stand_in_a_file(tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    named = {**GOOD, "metal_auth_token_file": str(file)}
    assert from_options({**named, "metal_auth_token": None}, {}).token == "of-the-file"
    assert from_options({**named, "metal_auth_token": "of-the-file"}, {}).token == "of-the-file"
    with pytest.raises(SettingError, match="hold different tokens") as caught:  # one of them may be another account's
        from_options(named, {})
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingError, match="metal_auth_token_file or METAL_AUTH_TOKEN_FILE"):
        from_options({**GOOD, "metal_auth_token": None}, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: .*No such file"),
        (b"\xff\xfe", "cannot be read: .*not text"),
        (b" \n", "must hold the API token and nothing else"),
        (b"x" * 5000, "must hold the API token and nothing else"),
        (b"one hush\ntwo hush\n", "characters that no token has"),
    ],
)
def test_a_file_without_a_token_is_refused(tmp_path, content: bytes | None, words: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=words) as caught:
        from_options({**GOOD, "metal_auth_token": None, "metal_auth_token_file": str(file)}, {})
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
