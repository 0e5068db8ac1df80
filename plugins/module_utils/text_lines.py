# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of text that fit a terminal of 80 columns, also when Ansible indents them: what tables and summaries are made of."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 72
MOST = 20  # lines of one kind that are shown

# Titles and widths of a table: to the right, or with a width below zero to the left and cut where it is too long.
Columns = Sequence[tuple[str, int]]


def wrapped(text: str, indent: str = "", break_words: bool = True) -> list[str]:
    """The text in lines, each indented, or else those after the first. A word that is wider than a line is broken."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent or "  ",
        break_on_hyphens=False,
        break_long_words=break_words,
    )


def unbroken(text: str, indent: str = "") -> list[str]:
    """The same for a text of names that somebody may copy: a word that is wider than a line stays whole."""
    return wrapped(text, indent, break_words=False)


def listed(items: Iterable[str]) -> list[str]:
    """A line for each, and one for all that are too many."""
    found = [f"  {item}" for item in items]
    return found if len(found) <= MOST else [*found[:MOST], f"  ... and {len(found) - MOST} more"]


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def head(columns: Columns) -> list[str]:
    """The titles of a table, and a rule below them."""
    return [
        row([title for title, _width in columns], columns),
        row(["-" * abs(width) for _title, width in columns], columns),
    ]


def row(cells: Iterable[str], columns: Columns) -> str:
    """A line of a table."""
    return " ".join(_cell(text, width) for text, (_title, width) in zip(cells, columns)).rstrip()


def _cell(text: str, width: int) -> str:
    if width > 0:
        return text.rjust(width)
    return (text if len(text) <= -width else f"{text[: -width - 1]}~").ljust(-width)
