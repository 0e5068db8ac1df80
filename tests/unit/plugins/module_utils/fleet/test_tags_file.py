# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of own machines: edited one at a time, never guessed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.tags_file import (
    edit_tags,
    initialise,
    parse_tags,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.tag_edits import Edit


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "state" / "ci.json")
    assert initialise(path, check_mode=True)
    assert not os.path.exists(path)
    assert initialise(path)
    assert not initialise(path)
    return path


def edit_one(path: str, machine: str, edit: Edit, check_mode: bool = False) -> tuple[list[str], list[str]]:
    before, after = edit_tags(path, {machine: edit}, check_mode)
    return before[machine], after[machine]


def kept(path: str) -> dict[str, list[str]]:
    return parse_tags(Path(path).read_bytes(), path)


def test_tags_are_added_and_taken_off_and_all_others_stay(path: str) -> None:
    assert edit_one(path, "a", Edit(add=("skip-hydra", "drained-by=alice"))) == (
        [],
        ["skip-hydra", "drained-by=alice"],
    )
    assert edit_one(path, "b", Edit(add=("other",))) == ([], ["other"])
    assert edit_one(path, "a", Edit(add=("new", "new"))) == (
        ["skip-hydra", "drained-by=alice"],
        ["skip-hydra", "drained-by=alice", "new"],
    )
    assert edit_one(path, "a", Edit(remove=("skip-hydra", "never-there")))[1] == ["drained-by=alice", "new"]
    assert kept(path) == {"a": ["drained-by=alice", "new"], "b": ["other"]}
    edit_one(path, "b", Edit(remove=("other",)))
    assert kept(path) == {"a": ["drained-by=alice", "new"]}
    assert sorted(os.listdir(os.path.dirname(path))) == ["ci.json", "ci.json.lock"]


def test_many_editors_at_once_lose_nothing(path: str) -> None:
    pids = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            for turn in range(5):
                edit_one(path, f"m{number % 3}", Edit(add=(f"t{number}-{turn}",)))
            os._exit(0)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 8
    assert sorted(tag for tags in kept(path).values() for tag in tags) == sorted(
        f"t{number}-{turn}" for number in range(8) for turn in range(5)
    )


def test_several_machines_are_edited_at_once_or_not_at_all(path: str) -> None:
    both = {"a": Edit(add=("x", "y")), "b": Edit(add=("x",))}
    assert edit_tags(path, both) == ({"a": [], "b": []}, {"a": ["x", "y"], "b": ["x"]})
    with pytest.raises(FleetError, match="a tag is a word"):
        edit_tags(path, {"a": Edit(remove=("x",)), "b": Edit(add=(" ",))})
    assert kept(path) == {"a": ["x", "y"], "b": ["x"]}


def test_check_mode_foretells(path: str) -> None:
    assert edit_one(path, "a", Edit(add=("x",)), check_mode=True) == ([], ["x"])
    assert kept(path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": 2, "machines": {}}',
        '{"schema": 1}',
        '{"schema": 1, "machines": {"a": [1]}}',
        '{"schema": 1, "machines": {"a": "skip-hydra"}}',
        '{"schema": 1, "machines": []}',
        '{"schema": 1, "machines": {"a": [""]}}',
    ],
)
def test_a_damaged_file_is_unknown_and_stays_as_it_is(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")
    for work in (lambda: edit_one(path, "a", Edit(add=("x",))), lambda: initialise(path)):
        with pytest.raises(FleetError, match="not known which machines drain"):
            work()
    assert Path(path).read_text(encoding="utf-8") == text


def test_a_missing_file_is_unknown_too(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"there is no file of tags .*initialised"):
        edit_one(str(tmp_path / "ci.json"), "a", Edit(remove=("skip-hydra",)))
    assert not os.path.exists(tmp_path / "ci.json")


@pytest.mark.parametrize("tag", ["", " x", "x\n", "a\x00b"])
def test_a_tag_is_a_word(path: str, tag: str) -> None:
    with pytest.raises(FleetError, match="a tag is a word"):
        edit_one(path, "a", Edit(add=(tag,)))
