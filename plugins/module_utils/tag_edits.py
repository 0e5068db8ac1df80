# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of a machine's tags, which leave all others as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Edit:
    """Which tags shall be there and which shall not; all others stay."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def applied(self, tags: Iterable[str]) -> list[str]:
        """The tags after the edit, each once where it was added, in the order that they have."""
        kept = [tag for tag in tags if tag not in self.remove]
        return kept + [tag for tag in dict.fromkeys(self.add) if tag not in kept]

    def holds(self, tags: Iterable[str]) -> bool:
        seen = set(tags)
        return set(self.add) <= seen and not seen & set(self.remove)


def are_texts(value: Any) -> bool:
    """Whether it is a list of texts, as tags are."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
