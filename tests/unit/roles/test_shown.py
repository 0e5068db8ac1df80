# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as too wide; the plays of tests/unit/roles/fleet are held to it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import shown

ID = "5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01"


def play(*lines: str, head: str = "ok: [localhost] => ") -> str:
    return "\n".join([f"TASK [Say it] {'*' * 100}", head, *lines, "", f"TASK [{'Another ' * 20}]"])


def test_a_message_that_fits_is_fine() -> None:
    text = play("    msg: |-", "        " + "x " * 35, "        short")
    assert len(shown.messages(text)) == 3
    assert shown.too_wide(text) == []


def test_a_line_of_many_words_is_not() -> None:
    sentence = f"    msg: 'Not proved idle: {ID}. Going on all the same, as {ID} says.'"
    assert shown.too_wide(play(sentence)) == [sentence]


def test_a_word_that_cannot_be_broken_is() -> None:
    assert shown.too_wide(play("    msg: |-", f"        File      /{'deep/' * 30}machines")) == []


def test_a_failure_is_not_a_summary() -> None:
    assert shown.too_wide(play(f"    msg: '{'why it failed ' * 12}'", head="fatal: [localhost]: FAILED! => ")) == []
