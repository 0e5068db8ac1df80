# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a build is, from events as Nix 2.8 and 2.26 print them."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.build_progress import BuildProgress

DIGEST = "0" * 32


def progress(*events: dict[str, Any]) -> dict[str, Any]:
    counted = BuildProgress()
    for event in events:
        counted.take(event)
    return counted.shown()


def start(number: int, kind: int, *fields: object, text: str = "") -> dict[str, Any]:
    return {"action": "start", "id": number, "type": kind, "fields": list(fields), "text": text}


def result(number: int, kind: int, *fields: object) -> dict[str, Any]:
    return {"action": "result", "id": number, "type": kind, "fields": list(fields)}


def stop(number: int) -> dict[str, Any]:
    return {"action": "stop", "id": number}


BUILDS = (start(1, 104), result(1, 105, 3, 40, 2, 0))
RUNNING = (start(5, 105, f"/nix/store/{DIGEST}-linux-6.1.drv", "", 1, 1), start(6, 105, f"/nix/store/{DIGEST}-zfs.drv"))


def test_builds_are_counted_and_named() -> None:
    shown = progress(*BUILDS, *RUNNING)
    assert (shown["built"], shown["to_build"]) == (3, 40)
    assert (shown["names"], shown["running"], shown["waiting"]) == (["linux-6.1", "zfs"], 2, False)
    assert progress(*BUILDS, *RUNNING, stop(5))["names"] == ["zfs"]


def test_bytes_of_finished_copies_stay_counted() -> None:
    expected = (start(2, 102), result(2, 106, 100, 5000), start(3, 103), result(3, 105, 1, 2, 1, 0))
    first = (start(8, 100, f"/nix/store/{DIGEST}-a", "cache", "local"), result(8, 105, 2000, 2000, 0, 0), stop(8))
    second = (start(9, 100, f"/nix/store/{DIGEST}-b", "cache", "local"), result(9, 105, 500, 3000, 0, 0))
    shown = progress(*expected, *first, *second)
    assert (shown["copied"], shown["to_copy"]) == (1, 2)
    assert (shown["bytes_done"], shown["bytes_total"]) == (2500, 5000)
    assert shown["names"] == ["b"]


def test_what_is_expected_changes_as_nix_learns_more() -> None:
    shown = progress(
        start(2, 102), result(2, 106, 100, 5000), result(2, 106, 100, 200), start(3, 102), result(3, 106, 100, 50)
    )
    assert shown["bytes_total"] == 250
    assert progress(start(2, 102), result(2, 106, 100, 5000), stop(2))["bytes_total"] == 0


def test_waiting_for_somebody_else_is_told() -> None:
    shown = progress(start(4, 109, text="waiting for lock on 'x'"))
    assert (shown["waiting"], shown["names"]) == (True, ["waiting for lock on 'x'"])
    assert not progress(start(4, 109, text="w"), *RUNNING)["waiting"]
    assert progress()["waiting"] is False


def test_a_line_has_room_for_three_names() -> None:
    many = [start(number, 105, f"/nix/store/{DIGEST}-thing-{number}.drv") for number in range(5)]
    shown = progress(*many)
    assert (shown["names"], shown["running"]) == (["thing-0", "thing-1", "thing-2"], 5)


def test_events_that_make_no_sense_are_passed_over() -> None:
    assert progress({}, {"action": "stop", "id": 9}, result(7, 105, 1), start(1, 104), result(1, 105))["to_build"] == 0
    assert progress(start(1, 104), result(1, 105, 7), result(1, 106, 7))["built"] == 0
