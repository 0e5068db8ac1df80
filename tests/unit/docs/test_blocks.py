# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every YAML and JSON block of the documentation parses, as Ansible itself reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

CHECKOUT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]+)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    patterns = (
        "*.md",
        "docs/**/*.md",
        "nix/**/*.md",
        "roles/*/README.md",
        "extensions/lab/**/*.md",
        "inventories/**/*.md",
    )
    return sorted({path for pattern in patterns for path in CHECKOUT.glob(pattern)})


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start()) + 1
                code = re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
                yield f"{page.relative_to(CHECKOUT)}:{line}", code


@pytest.mark.parametrize(("place", "text"), list(blocks("yaml")))
def test_yaml_parses(place: str, text: str) -> None:
    try:
        parsed = DataLoader().load(text)
    except AnsibleError as error:
        pytest.fail(f"{place}: {error}")
    assert parsed is not None, f"{place}: an empty block"


def test_json_parses() -> None:
    for place, text in blocks("json"):
        try:
            json.loads(text)
        except ValueError as error:
            pytest.fail(f"{place}: {error}")
