# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A writer whose lock somebody breaks in the middle of its work stops before what cannot be taken back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import pruning
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import switch as switching
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.lock import owner_path
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import policy

if TYPE_CHECKING:
    from .conftest import Store

Breaker = Callable[[Any, str], None]


@pytest.fixture
def broken_after(store: Store, monkeypatch: pytest.MonkeyPatch) -> Breaker:
    """Lets another machine take the lock as soon as this function has done its work."""

    def arrange(module: Any, name: str) -> None:
        real = getattr(module, name)

        def then_broken(*arguments: Any) -> Any:
            done = real(*arguments)
            Path(owner_path(str(store.root))).write_text(json.dumps({"lock_id": "0123abcd", "boot_id": "elsewhere"}))
            return done

        monkeypatch.setattr(module, name, then_broken)

    return arrange


def test_the_link_is_not_turned(store: Store, broken_after: Breaker) -> None:
    first = store.publish("one").release.release_id
    broken_after(switching, "write_release")
    with pytest.raises(NetbootError, match="was broken while this run held it"):
        store.publish("two")
    assert os.readlink(store.root / "lab").endswith(first)
    assert len(store.history("lab")) == 1


@pytest.mark.parametrize(
    ("after", "releases"),
    [("find_rubbish", 2), ("_remove_release", 1)],
    ids=["before-releases-go", "before-blobs-go"],
)
def test_nothing_more_is_pruned(store: Store, broken_after: Breaker, after: str, releases: int) -> None:
    store.publish("one")
    store.publish("two")
    broken_after(pruning, after)
    with pytest.raises(NetbootError, match="was broken while this run held it"):
        pruning.prune(switching.Writer(str(store.root), False, 1), policy(1, [], 24), time.time() + 3 * 86400)
    assert len(list((store.root / "releases" / "lab").iterdir())) == releases
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 4
