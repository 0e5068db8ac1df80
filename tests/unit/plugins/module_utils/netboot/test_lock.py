# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer at a time, on one machine and on several that share the store."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import lock as lock_module
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.lock import read_owner, store_lock


@contextlib.contextmanager
def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """This process as a machine to which flock does not reach, as over NFS with local locks."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another running system\n")
    with monkeypatch.context() as patch:
        patch.setattr(lock_module, "BOOT_ID", str(boot_id))
        patch.setattr(fcntl, "flock", lambda *_: None)
        yield


def take(root: Path, timeout: float = 0.2, break_id: str | None = None) -> str:
    with store_lock(str(root), "try", timeout, break_id) as lock:
        return lock.lock_id


def test_the_owner_is_told_and_gone_afterwards(tmp_path: Path) -> None:
    with store_lock(str(tmp_path), "publish", 1) as lock:
        owner = read_owner(str(tmp_path))
        assert owner is not None
        assert (owner["lock_id"], owner["pid"], owner["purpose"]) == (lock.lock_id, os.getpid(), "publish")
    assert read_owner(str(tmp_path)) is None


def test_a_writer_on_this_machine_is_named_with_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store_lock(str(tmp_path), "publish", 1) as lock:
        later = time.time() + 125
        monkeypatch.setattr(time, "time", lambda: later)
        words = rf"still writes .* lock {lock.lock_id} of .*process {os.getpid()} on .* for 12[56] s, to publish\. Run again"
        with pytest.raises(NetbootError, match=words):
            take(tmp_path)
        with pytest.raises(NetbootError, match="still writes"):
            take(tmp_path, break_id=lock.lock_id)


def test_a_writer_waits_for_the_other(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with store_lock(str(tmp_path), "first", 1):
            (tmp_path / "held").touch()
            time.sleep(0.5)
        os._exit(0)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert take(tmp_path, timeout=30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_writer_that_was_killed_here_stops_nobody(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with store_lock(str(tmp_path), "first", 1):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert read_owner(str(tmp_path)) is not None
    assert take(tmp_path)


def test_another_machine_waits_although_flock_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_lock(str(tmp_path), "publish", 1) as lock:
        with (
            another_machine(monkeypatch, tmp_path),
            pytest.raises(NetbootError, match=rf"locked from another machine.* break_lock: {lock.lock_id}\."),
        ):
            take(tmp_path)
        lock.confirm()
    with another_machine(monkeypatch, tmp_path):
        assert take(tmp_path)


def left_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lock of another machine that was cut off."""
    with another_machine(monkeypatch, root), store_lock(str(root), "publish", 1) as lock:
        text = Path(lock_module.owner_path(str(root))).read_text()
    Path(lock_module.owner_path(str(root))).write_text(text)
    return lock.lock_id


def test_a_stale_lock_of_another_machine_is_broken_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_id = left_behind(tmp_path, monkeypatch)
    for break_id in (None, "00000000"):
        with pytest.raises(NetbootError, match=f"locked from another machine.* lock {lock_id} of"):
            take(tmp_path, break_id=break_id)
    assert take(tmp_path, break_id=lock_id) != lock_id
    assert take(tmp_path)


def test_a_writer_whose_lock_was_broken_stops_and_leaves_the_new_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_lock(str(tmp_path), "slow", 1) as slow:
        with (
            another_machine(monkeypatch, tmp_path),
            store_lock(str(tmp_path), "quick", 1, slow.lock_id) as quick,
        ):
            with pytest.raises(NetbootError, match=f"the lock {slow.lock_id} .* was broken"):
                slow.confirm()
            quick.confirm()
        new = {"lock_id": "newer", "boot_id": "elsewhere"}
        Path(lock_module.owner_path(str(tmp_path))).write_text(json.dumps(new))
    assert read_owner(str(tmp_path)) == new


def test_an_owner_that_cannot_be_read_stops_the_writer_until_it_is_broken(tmp_path: Path) -> None:
    assert take(tmp_path)
    Path(lock_module.owner_path(str(tmp_path))).write_text("{")
    with pytest.raises(NetbootError, match="break_lock: unreadable"):
        take(tmp_path)
    assert take(tmp_path, break_id="unreadable")


def test_two_machines_that_break_the_same_lock_do_not_both_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is held up between seeing the stale claim and taking it away, while the other does all of it."""
    lock_id = left_behind(tmp_path, monkeypatch)
    place, real, words = lock_module.owner_path(str(tmp_path)), os.unlink, []

    def held_up(path: str) -> None:
        if path == place and not words:
            with another_machine(monkeypatch, tmp_path), pytest.raises(NetbootError) as refused:
                take(tmp_path, break_id=lock_id)
            words.append(str(refused.value))
        real(path)

    monkeypatch.setattr(os, "unlink", held_up)
    assert take(tmp_path, break_id=lock_id)
    assert "Another run is breaking it (lock" in words[0]
    assert os.listdir(tmp_path / ".state") == ["lock"]


def test_a_writer_that_died_while_it_broke_a_lock_stops_nobody_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_id = left_behind(tmp_path, monkeypatch)
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, "unlink", lambda _path: os.kill(os.getpid(), signal.SIGKILL))
        take(tmp_path, break_id=lock_id)
    os.waitpid(pid, 0)
    assert Path(lock_module.removal_path(str(tmp_path), lock_id)).exists()
    assert take(tmp_path, break_id=lock_id)
    assert not Path(lock_module.removal_path(str(tmp_path), lock_id)).exists()


def test_nothing_is_left_of_a_lock_that_was_given_up(tmp_path: Path) -> None:
    take(tmp_path)
    assert os.listdir(tmp_path / ".state") == ["lock"]


def test_a_claim_that_came_meanwhile_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stale claim went, and another machine's came, between seeing it and getting the right to take it away."""
    lock_id = left_behind(tmp_path, monkeypatch)
    right, real = lock_module.removal_path(str(tmp_path), lock_id), os.link
    new = {"lock_id": "0123abcd", "boot_id": "elsewhere"}

    def late(source: str, place: str) -> None:
        if place == right:
            Path(lock_module.owner_path(str(tmp_path))).write_text(json.dumps(new))
        real(source, place)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(NetbootError, match=r"locked from another machine.* lock 0123abcd of"):
        take(tmp_path, break_id=lock_id)
    assert read_owner(str(tmp_path)) == new
