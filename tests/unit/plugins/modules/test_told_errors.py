# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules say when they cannot do their work: the place and the reason in a sentence, not a traceback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import build_job
from ansible_collections.nixmetal.builders.plugins.modules import (
    builder_jobs_wait,
    fleet_lock,
    fleet_reclaims,
    nix_build_job,
    nix_store_info,
    ssh_host_tags,
)

if TYPE_CHECKING:
    from tests.unit.plugins.conftest import Said

RUN = "0123456789abcdef" * 2
RECLAIM = {
    "at": "2026-01-01T00:00:00Z",
    "device_id": "d1",
    "plan": "m3.large.x86",
    "metro": "am",
    "termination_time": "2026-01-01T00:02:00Z",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file where a directory should be."""
    path = tmp_path / "file"
    path.write_text("not json", encoding="utf-8")
    return path


def test_a_lock_that_cannot_be_written_names_the_fleet_and_the_place(said: Said, file: Path) -> None:
    told = said(fleet_lock, path=str(file), fleet="ci", owner="alice", purpose="a rollout")
    assert told["failed"]
    assert told["msg"].startswith(f"the lock of the fleet ci in {file}: ")


def lock(said: Said, tmp_path: Path, state: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    return said(fleet_lock, check_mode, path=str(tmp_path / "locks"), fleet="ci", state=state, **options)


def test_who_gives_back_a_lock_that_was_broken_meanwhile_is_warned(said: Said, tmp_path: Path) -> None:
    mine = lock(said, tmp_path, "acquired", owner="alice", purpose="a rollout")["lock_id"]
    lock(said, tmp_path, "broken", lock_id=mine, owner="bob", reason="alice is away")
    assert lock(said, tmp_path, "released", lock_id=mine)["changed"] is False
    assert said.warnings == [
        f"The lock {mine} on the fleet ci was broken or taken over before it was given back: nobody holds it now."
    ]
    lock(said, tmp_path, "acquired", owner="bob", purpose="a drain")
    assert lock(said, tmp_path, "released", lock_id=mine)["owner"] == "bob"
    assert "bob" in said.warnings[-1]
    assert "a drain" in said.warnings[-1]


def test_check_mode_of_a_lock_tells_and_changes_nothing(said: Said, tmp_path: Path) -> None:
    mine = lock(said, tmp_path, "acquired", owner="alice", purpose="a rollout")["lock_id"]
    reason = {"owner": "bob", "reason": "alice is away"}
    for state, lock_id, changed in (("released", mine, True), ("released", "other", False), ("broken", mine, True)):
        more = reason if state == "broken" else {}
        assert lock(said, tmp_path, state, check_mode=True, lock_id=lock_id, **more)["changed"] is changed
    refused = lock(said, tmp_path, "broken", check_mode=True, lock_id="other", **reason)
    assert "nothing was broken" in refused["msg"]
    assert lock(said, tmp_path, "held", lock_id=mine)["owner"] == "alice"
    assert said.warnings == []
    lock(said, tmp_path, "released", lock_id=mine)
    assert lock(said, tmp_path, "broken", check_mode=True, lock_id=mine, **reason)["changed"] is False
    assert lock(said, tmp_path, "released", check_mode=True, lock_id=mine)["changed"] is False


def test_reclaims_that_cannot_be_remembered_name_the_file(said: Said, file: Path) -> None:
    path = f"{file}/reclaims.jsonl"
    nowhere = said(fleet_reclaims, path=path, reclaims=[RECLAIM])
    assert (nowhere["failed"], nowhere["msg"]) == (True, f"{path}: File exists")
    lacking = said(fleet_reclaims, path=path, reclaims=[{**RECLAIM, "plan": ""}])
    assert (lacking["failed"], lacking["msg"]) == (True, f"{path}: a reclaim of d1 lacks plan")


def test_tags_that_cannot_be_written_name_the_file(said: Said, file: Path) -> None:
    told = said(ssh_host_tags, path=f"{file}/tags.json", state="initialised")
    assert told["failed"]
    assert told["msg"].startswith(f"the file of tags {file}/tags.json: ")
    text = said(ssh_host_tags, path=f"{file}/tags.json", machines={"rack1-a": "hydra"})
    assert (text["failed"], text["msg"]) == (True, "machines: rack1-a has a list of tags, not 'hydra'")


def test_a_source_of_jobs_without_its_address_is_refused(said: Said) -> None:
    told = said(builder_jobs_wait, source="prometheus", url="http://127.0.0.1:9", builders=[], seen={"a": "long"})
    assert told["failed"]
    assert "seen" in told["msg"]


@pytest.mark.parametrize("run", ["", "..", RUN[:-1], f"{RUN}/", RUN.upper(), f"{RUN}\n"])
def test_a_run_that_is_no_name_becomes_no_directory(said: Said, run: str) -> None:
    told = said(nix_build_job, operation="wait", run=run)
    assert told["msg"] == f"run is {run!r}, not 32 hexadecimal digits"


def test_options_of_a_followed_build_are_checked_before_it_begins(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_job, "BASE", str(tmp_path / "builds"))
    for wrong in ({"file": "/a", "expression": "1"}, {}, {"file": "/a", "cores": "many"}, {"file": "/a", "fiel": 1}):
        told = said(nix_build_job, operation="start", run=RUN, build=wrong)
        assert told["failed"], wrong
        assert not told.get("exception")
    assert not (tmp_path / "builds").exists()


def test_a_place_that_cannot_be_written_is_named_by_a_followed_build(
    said: Said, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_job, "BASE", str(file))
    told = said(nix_build_job, operation="start", run=RUN, build={"file": "/a"})
    assert "where what is known of a build is kept, cannot be written or read" in told["msg"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'error: cannot connect to socket' >&2; exit 1", "start nix-daemon there"),
        ("echo '\"/nonexistent/nix/store\"'", "There is no /nonexistent/nix/store on .* role nix_host makes the store"),
    ],
)
def test_a_store_that_tells_nothing_is_named_with_the_remedy(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    for name in ("nix-instantiate", "nix-store"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = said(nix_store_info)
    assert told["failed"]
    assert re.search(words, told["msg"]), told["msg"]
