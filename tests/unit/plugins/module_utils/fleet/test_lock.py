# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hand at a time on a fleet, also when that hand was cut off."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.claim import read_claim
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import lock as lock_module
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.lock import (
    LockPlace,
    Wish,
    acquire,
    age_seconds,
    break_lock,
    confirm,
    describe,
    lock_place,
    release,
    would_acquire,
)

ALICE = Wish("alice@control", "launch")
BOB = Wish("bob@laptop", "rollout")


@pytest.fixture
def place(tmp_path: Path) -> LockPlace:
    return lock_place(str(tmp_path / "locks"), "ci")


def in_a_child(*steps: object) -> int:
    """Do the steps in a process of its own, and return its wait status."""
    pid = os.fork()
    if pid == 0:
        for step in steps:
            assert callable(step)
            step()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def journal(place: LockPlace) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(place.journal).read_text().splitlines()]


def test_the_holder_is_told_and_gone_after_release(place: LockPlace) -> None:
    taken = acquire(place, ALICE)
    assert taken.ours
    assert taken.resumed_from is None
    claim = confirm(place, taken.claim["lock_id"])
    assert (claim["owner"], claim["purpose"], claim["fleet"]) == ("alice@control", "launch", "ci")
    assert would_acquire(place, BOB) == (claim, False)
    assert release(place, claim["lock_id"]) == (True, None)
    assert would_acquire(place, BOB) == (None, True)
    assert os.listdir(place.directory) == ["ci.lock.guard"]


def test_another_run_is_refused_with_owner_age_and_id(place: LockPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_id = acquire(place, ALICE).claim["lock_id"]
    later = time.time() + 125
    monkeypatch.setattr(time, "time", lambda: later)
    words = rf"lock {lock_id} of alice@control, held since \S+ \(12[56] s\) for launch.*fleet_lock_break_id={lock_id}"
    with pytest.raises(FleetError, match=words) as refused:
        acquire(place, BOB)
    assert "fleet_lock_resume" not in str(refused.value)
    with pytest.raises(FleetError, match="fleet_lock_resume=true"):
        acquire(place, ALICE)
    confirm(place, lock_id)


def test_of_many_at_once_one_gets_it(place: LockPlace) -> None:
    gate = Path(place.directory).parent / "gate"
    pids = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            while not gate.exists():
                time.sleep(0.001)
            try:
                acquire(place, Wish(f"run {number}", "launch"))
            except FleetError:
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    gate.touch()
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert sorted(codes) == [0, *[1] * 7]
    claim = read_claim(place.path)
    assert claim is not None
    assert claim["owner"] == f"run {codes.index(0)}"


def test_where_flock_does_not_reach_the_claim_alone_tells_who_has_it(
    place: LockPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine with the same directory placed its claim after this one had looked."""
    held = acquire(place, ALICE).claim
    looks = iter([None, held])
    monkeypatch.setattr(lock_module, "read_claim", lambda _path: next(looks))
    with pytest.raises(FleetError, match=f"lock {held['lock_id']} of alice@control"):
        acquire(place, BOB)
    assert read_claim(place.path) == held


def test_a_killed_holder_keeps_the_lock_whatever_its_age(place: LockPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    status = in_a_child(lambda: acquire(place, ALICE), lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert os.WIFSIGNALED(status)
    later = time.time() + 30 * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(FleetError, match=r"\(2592\d\d\d s\)"):
        acquire(place, BOB)
    with pytest.raises(FleetError, match="is taken"):
        acquire(place, BOB._replace(resume=True))


def test_the_same_owner_resumes_only_when_told_to_and_the_old_run_stops(place: LockPlace) -> None:
    old = acquire(place, ALICE).claim["lock_id"]
    resumed = acquire(place, ALICE._replace(resume=True))
    assert resumed.resumed_from == old
    assert resumed.claim["lock_id"] != old
    with pytest.raises(
        FleetError, match=f"the lock {old} .* was broken or taken over .*lock {resumed.claim['lock_id']} of alice"
    ):
        confirm(place, old)
    assert release(place, old) == (False, resumed.claim)
    confirm(place, resumed.claim["lock_id"])
    with pytest.raises(FleetError, match="is taken"):
        acquire(place, Wish("alice@control", "rollout", resume=True))
    assert [(entry["event"], entry["by"]) for entry in journal(place)] == [("resumed", "alice@control")]


def test_a_lock_is_broken_by_its_id_and_no_other(place: LockPlace) -> None:
    claim = acquire(place, ALICE).claim
    with pytest.raises(
        FleetError, match=f"not held by the lock 00000000 but by lock {claim['lock_id']}.*nothing was broken"
    ):
        break_lock(place, "00000000", "bob@laptop", "dead")
    confirm(place, claim["lock_id"])
    assert not os.path.exists(place.journal)
    assert break_lock(place, claim["lock_id"], "bob@laptop", "control was reinstalled") == claim
    assert break_lock(place, claim["lock_id"], "bob@laptop", "again") is None
    (entry,) = journal(place)
    assert (entry["event"], entry["by"], entry["reason"]) == ("broken", "bob@laptop", "control was reinstalled")
    assert entry["lock"] == claim
    with pytest.raises(FleetError, match="nobody holds it now"):
        confirm(place, claim["lock_id"])
    assert acquire(place, BOB).ours


def test_of_two_that_break_the_same_lock_none_takes_the_next_holders(place: LockPlace) -> None:
    claim = acquire(place, ALICE).claim
    break_lock(place, claim["lock_id"], "bob", "dead")
    new = acquire(place, BOB).claim
    with pytest.raises(FleetError, match="nothing was broken"):
        break_lock(place, claim["lock_id"], "carol", "dead")
    confirm(place, new["lock_id"])


@pytest.mark.parametrize("event", ["broken", "resumed"])
def test_what_is_taken_from_a_holder_is_on_the_disk_before_it_is_taken(
    place: LockPlace, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    claim = acquire(place, ALICE).claim

    def die(_path: str, _lock_id: str) -> bool:
        raise InterruptedError

    monkeypatch.setattr(lock_module, "withdraw_claim", die)
    take = {
        "broken": lambda: break_lock(place, claim["lock_id"], "bob@laptop", "dead"),
        "resumed": lambda: acquire(place, ALICE._replace(resume=True)),
    }[event]
    with pytest.raises(InterruptedError):
        take()
    assert [(entry["event"], entry["lock"]) for entry in journal(place)] == [(event, claim)]
    confirm(place, claim["lock_id"])


def test_a_change_of_the_lock_waits_for_one_that_is_under_way(place: LockPlace) -> None:
    lock_id = acquire(place, ALICE).claim["lock_id"]
    with open(f"{place.path}.guard", "rb") as guard, ThreadPoolExecutor(1) as pool:
        fcntl.flock(guard, fcntl.LOCK_EX)
        breaking = pool.submit(break_lock, place, lock_id, "bob@laptop", "dead")
        with pytest.raises(TimeoutError):
            breaking.result(0.1)
        confirm(place, lock_id)
        fcntl.flock(guard, fcntl.LOCK_UN)
        broken = breaking.result(30)
    assert broken is not None
    assert broken["lock_id"] == lock_id


def test_a_run_waits_for_the_other(place: LockPlace) -> None:
    lock_id = acquire(place, ALICE).claim["lock_id"]
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3)
        release(place, lock_id)
        os._exit(0)
    assert acquire(place, BOB, wait_seconds=30).ours
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_lock_that_cannot_be_read_is_somebodys_until_it_is_broken(place: LockPlace, text: str) -> None:
    os.makedirs(place.directory)
    Path(place.path).write_text(text)
    with pytest.raises(FleetError, match="lock unreadable of an unknown owner, held since an unknown time"):
        acquire(place, ALICE._replace(resume=True))
    assert break_lock(place, "unreadable", "bob", "a full disk") is not None
    assert acquire(place, ALICE).ours


def test_fleets_have_locks_of_their_own(place: LockPlace) -> None:
    acquire(place, ALICE)
    assert acquire(place._replace(fleet="other"), ALICE).ours


@pytest.mark.parametrize("name", ["", "../ci", "a/b", "Ci", "ci\n", "x" * 64])
def test_what_is_no_fleets_name_is_no_files_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(FleetError, match="no name of a fleet"):
        lock_place(str(tmp_path), name)


def test_an_age_is_never_negative_or_invented() -> None:
    assert age_seconds({"lock_id": "a", "since": "2999-01-01T00:00:00Z"}) == 0
    assert age_seconds({"lock_id": "a", "since": "yesterday"}) is None
    assert "an unknown time" in describe({"lock_id": "a"})


def test_nothing_is_made_for_a_release_or_a_break(place: LockPlace) -> None:
    assert release(place, "00000000") == (False, None)
    assert break_lock(place, "00000000", "bob", "dead") is None
    assert not os.path.exists(place.directory)
