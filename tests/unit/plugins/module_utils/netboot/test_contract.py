# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read and written here is what docs/contracts says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import check_base_url, check_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings, make_release

CONTRACTS = Path(__file__).resolve().parents[5] / "docs" / "contracts"
# Pieces concern the stream alone; the last four cannot be said to the module, and a slash at the end is forgiven.
NOT_HERE = (
    "piece-without-digest",
    "base-url-with-slash-at-end",
    "image-manifest-alone",
    "no-kernel-params",
    "not-signed-is-not-said",
    "unknown-url-style",
)


def examples(contract: str, kind: str) -> list[Any]:
    paths = sorted((CONTRACTS / "examples" / contract / kind).glob("*.json"))
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths if path.stem not in NOT_HERE]


def released(document: dict[str, Any]) -> dict[str, Any]:
    """The release's manifest of an image manifest, or of the image in a release."""
    own = document.get(
        "release", {"channel": "lab", "base_url": "http://web", "url_style": "relative", "kernel_params": []}
    )
    settings = Settings(
        check_channel(own["channel"]),
        check_base_url(own["base_url"]),
        own["url_style"],
        tuple(own["kernel_params"]),
        own.get("signed", False),
    )
    text = make_release(check_manifest(document, "manifest"), settings).contents["manifest.json"]
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.mark.parametrize("document", examples("image-manifest", "good"))
def test_a_good_image_becomes_a_good_release(document: dict[str, Any]) -> None:
    result = released(document)
    jsonschema.validate(result, json.loads((CONTRACTS / "release.schema.json").read_text()))
    assert {key: value for key, value in result.items() if key != "release"} == document


@pytest.mark.parametrize("document", examples("image-manifest", "bad"))
def test_a_bad_image_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(NetbootError):
        released(document)


@pytest.mark.parametrize("document", examples("release", "good"))
def test_a_good_release_is_made_again_as_it_was(document: dict[str, Any]) -> None:
    assert released(document) == document


@pytest.mark.parametrize("document", examples("release", "bad"))
def test_a_bad_release_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(NetbootError):
        released(document)
