# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator reads at the end of prune.yml and of collect_garbage.yml."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.plugin_utils.store_summaries import garbage_lines, prune_lines

HOST = "netboot-with-a-long-name.department.example.org"
NOTHING: dict[str, Any] = {
    "removed": [],
    "kept": [],
    "blobs_removed": 0,
    "bytes_freed": 0,
    "staged_removed": [],
    "blobs_kept_because": None,
}


def release(number: int, **more: Any) -> dict[str, Any]:
    base = {
        "channel": "hydra-x86_64-linux--canary",
        "release_id": f"{number:032x}",
        "image_id": f"{number:032d}-netboot",
    }
    return base | more


def test_what_went_and_what_stays_with_its_reason() -> None:
    pruned = NOTHING | {
        "removed": [release(1)],
        "kept": [release(2, reasons=["active", "among the newest 5"])],
        "blobs_removed": 2,
        "bytes_freed": 51_200_000,
    }
    assert prune_lines(pruned, "web") == [
        "web: 1 release and 2 blobs are gone, 51.2 MB",
        f"Gone  hydra-x86_64-linux--canary {1:032x}",
        f"  {1:032d}-netboot",
        f"Stays  hydra-x86_64-linux--canary {2:032x}",
        f"  {2:032d}-netboot",
        "  active, among the newest 5",
    ]
    foretold = prune_lines(pruned, "web", check_mode=True)
    assert foretold[:2] == [
        "web: 1 release and 2 blobs would go, 51.2 MB",
        f"Would go  hydra-x86_64-linux--canary {1:032x}",
    ]


def test_nothing_to_remove_is_said() -> None:
    assert prune_lines(NOTHING, "web") == ["web: nothing to remove"]


def test_blobs_without_a_release_are_something() -> None:
    assert prune_lines(NOTHING | {"blobs_removed": 1, "bytes_freed": 7}, "web") == [
        "web: 0 releases and 1 blob are gone, 7 B"
    ]


def test_why_no_blob_went_and_what_helps() -> None:
    pruned = NOTHING | {
        "blobs_kept_because": "the manifest of release 0a of stable is damaged",
        "staged_removed": ["x"],
    }
    told = " ".join(" ".join(prune_lines(pruned, "web")).split())
    assert "No blob went: the manifest of release 0a of stable is damaged. Next: publish that image again" in told
    assert "streamed and not published: x" in told


def test_an_image_whose_manifest_is_damaged_is_told_as_such() -> None:
    kept = release(3, image_id=None, reasons=["its manifest is damaged"])
    assert "  its manifest cannot be read" in prune_lines(NOTHING | {"kept": [kept]}, "web")


@pytest.mark.parametrize("check_mode", [False, True])
def test_many_releases_fit_a_terminal(check_mode: bool) -> None:
    reasons = ["active", "among the newest 30", "booted by a live machine", "within the grace time"]
    pruned = NOTHING | {
        "removed": [release(number) for number in range(3)],
        "kept": [release(number, reasons=reasons) for number in range(30)],
        "blobs_removed": 10**6,
        "bytes_freed": 10**15,
    }
    lines = prune_lines(pruned, HOST, check_mode)
    assert max(map(len, lines)) <= 72
    assert lines[-1] == "... and 10 more that stay"
    assert sum(line.startswith("Stays") for line in lines) == 20


def test_links_garbage_and_room() -> None:
    said = ["finding garbage collector roots...", "deleting unused links...", "3 store paths deleted, 1.20 MiB freed"]
    assert garbage_lines(["/g/b", "/g/a"], said, 5_000_000_000, "hydra") == [
        "hydra: 2 links to images that nobody publishes removed",
        "  /g/a",
        "  /g/b",
        "Garbage   3 store paths deleted, 1.20 MiB freed",
        "Free      5.0 GB",
    ]


@pytest.mark.parametrize(
    ("said", "check_mode", "words"),
    [
        (None, True, "Garbage   told without --check, where netboot_image_collect is true"),
        (None, False, "Garbage   not collected (netboot_image_collect is false)"),
        ([], False, "Garbage   collected"),
        (["3 store paths deleted, 1.20 MiB freed", "a hint"], False, "Garbage   3 store paths deleted, 1.20 MiB freed"),
    ],
)
def test_what_nix_did_not_say_is_not_made_up(said: Any, check_mode: bool, words: str) -> None:
    assert garbage_lines([], said, 0, "hydra", check_mode)[1:] == [words, "Free      0 B"]


def test_many_links_fit_a_terminal() -> None:
    links = [f"/nix/var/nix/gcroots/nixmetal/images/{number:032d}-netboot" for number in range(25)]
    lines = garbage_lines(links, ["25 store paths deleted, 9999.99 MiB freed"], 10**15, HOST, check_mode=True)
    assert max(map(len, lines)) <= 80
    assert lines[-3] == "  ... and 5 more"
