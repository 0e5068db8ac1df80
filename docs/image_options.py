# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/image-options.md from what nix/tests/evaluate.nix says of the modules' options. LIB is the `lib` of a nixpkgs:

nix-instantiate --eval --strict --json nix/tests/evaluate.nix --argstr lib LIB --arg cases '[]' | python docs/image_options.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent / "image-options.md"

INTRODUCTION = """\
# Options of the production image

Written by `docs/image_options.py` from the modules in `nix/modules`; edit those. In a play they are
`netboot_image_settings.args.settings`, without the first word: `{root: {type: zfs-stripe}}`. `<name>` is a name of your choice.
What they hold is readable by everybody who can fetch the image: give no secrets.
"""


def document(options: list[dict[str, Any]]) -> str:
    shown = sorted((option for option in options if not option["internal"]), key=lambda option: str(option["name"]))
    return INTRODUCTION + "".join(_section(option) for option in shown)


def _section(option: dict[str, Any]) -> str:
    lines = [f"\n## {option['name']}", "", _plain(option["description"]), "", f"- type: {_code(option['type'])}"]
    if option["default"] is not None:
        lines.append(f"- default: {_code(option['default'])}")
    lines.append(f"- example: {_code(option['example'])}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _code(text: str) -> str:
    return f"`{_plain(text)}`"


if __name__ == "__main__":
    TARGET.write_text(document(json.load(sys.stdin)["options"]), encoding="utf-8")
