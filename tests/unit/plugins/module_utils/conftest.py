# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to the disk, in its order: what a power cut would find depends on it."""

from __future__ import annotations

import os
from typing import Any

import pytest


class Steps:
    """Flushes, new names and names that went, as (what, path)."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    def places(self, what: str, path: object) -> list[int]:
        """When this was done, as places in the order; it was, at least once."""
        found = [place for place, step in enumerate(self.done) if step == (what, str(path))]
        assert found, f"no {what} of {path} in {self.done}"
        return found

    def first(self, what: str, path: object) -> int:
        return self.places(what, path)[0]

    def last(self, what: str, path: object) -> int:
        return self.places(what, path)[-1]

    def was(self, path: object) -> str:
        """The name under which it was made that has this one now."""
        return self.done[self.last("name", path) - 1][1]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Notes os.fsync as "flush", os.rename as "was" and "name", and os.unlink as "gone"."""
    noted = Steps()
    flush, rename, unlink = os.fsync, os.rename, os.unlink

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        noted.done.append(("flush", os.readlink(f"/proc/self/fd/{descriptor}")))

    def named(before: Any, path: Any, **more: Any) -> None:
        rename(before, path, **more)
        noted.done += [("was", str(before)), ("name", str(path))]

    def gone(path: Any, **more: Any) -> None:
        unlink(path, **more)
        noted.done.append(("gone", str(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", named)
    monkeypatch.setattr(os, "unlink", gone)
    return noted
