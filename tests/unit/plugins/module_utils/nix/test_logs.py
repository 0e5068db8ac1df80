# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nix's log and error texts, as recorded from Nix 2.8, 2.26 and 2.34."""

from __future__ import annotations

import json

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import store
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.build_log import BuildLog
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import essence, remedy

FAIL = "/nix/store/hp7vd5jczj2frjn5g50f9c00hrbp1ni3-fail.drv"
TOP = "/nix/store/zp8dfi7rki31l172ghfkf36xrj3zy49c-top.drv"


def line(**event: object) -> str:
    return "@nix " + json.dumps(event)


def failed_build() -> str:
    return "\n".join(
        [
            line(
                action="msg", level=0, msg="warning: the group 'nixbld' specified in 'build-users-group' does not exist"
            ),
            line(action="start", id=1, level=3, type=105, fields=[FAIL, "", 1, 1], text=f"building '{FAIL}'"),
            line(action="result", id=1, type=101, fields=["line 1"]),
            line(action="result", id=1, type=101, fields=["\x1b[31moops\x1b[0m"]),
            line(action="result", id=1, type=105, fields=[0, 1, 0, 1]),
            line(
                action="msg", level=0, msg="x", raw_msg=f"builder for '\x1b[35;1m{FAIL}\x1b[0m' failed with exit code 3"
            ),
            line(action="msg", level=0, msg="x", raw_msg=f"1 dependencies of derivation '{TOP}' failed to build"),
        ]
    )


def test_the_failed_build_and_its_own_words_are_found() -> None:
    log = BuildLog(failed_build())
    assert log.failed == [FAIL]
    assert log.tail(FAIL) == ["line 1", "oops"]
    assert log.built == [FAIL]
    assert "warning" not in log.words


def test_what_failed_for_want_of_another_is_not_named_by_the_newest_nix_either() -> None:
    reasons = (
        (FAIL, "\x1b[31;1mbuilder failed with exit code 3\x1b[0m"),
        (TOP, "\x1b[31;1m1 dependency failed\x1b[0m"),
    )
    text = "\n".join(
        line(action="msg", level=0, msg="x", raw_msg=f"Cannot build '\x1b[35;1m{path}\x1b[0m'.\nReason: {reason}.")
        for path, reason in reasons
    )
    assert BuildLog(text).failed == [FAIL]


def test_only_the_last_lines_are_kept() -> None:
    assert BuildLog(failed_build(), keep=1).tail(FAIL) == ["oops"]


def test_what_the_post_build_hook_says_counts_and_an_earlier_try_does_not() -> None:
    begins = line(action="start", id=1, type=105, fields=[FAIL, "", 1, 1])
    hook = line(action="result", id=1, type=107, fields=["no room in the cache"])
    first = line(action="result", id=1, type=101, fields=["first"])
    assert BuildLog(f"{begins}\n{hook}").tail(FAIL) == ["no room in the cache"]
    assert BuildLog(f"{begins}\n{first}\n{begins}\n{hook}").tail(FAIL) == ["no room in the cache"]


def test_a_cache_that_is_tried_again_is_no_error_yet() -> None:
    trouble = "unable to download 'http://cache/x': Couldn't connect to server (7)"
    again = line(action="msg", level=1, msg=f"warning: error: {trouble}; retrying in 274 ms")
    assert BuildLog(again).words == ""
    assert BuildLog(f"{again}\n{line(action='msg', level=1, msg=f'warning: error: {trouble}')}").words == trouble


def test_fetched_and_copied_paths_are_told_apart() -> None:
    text = "\n".join(
        [
            line(action="start", id=1, type=108, fields=["/nix/store/a-x", "https://cache"]),
            line(action="start", id=2, type=100, fields=["/nix/store/a-x", "https://cache", "local"]),
            line(action="start", id=3, type=108, fields=["/nix/store/a-x", "https://cache"]),
        ]
    )
    log = BuildLog(text)
    assert (log.fetched, log.copied, log.built) == (["/nix/store/a-x"], ["/nix/store/a-x"], [])


def test_what_is_not_nix_is_kept_as_the_words_of_ssh() -> None:
    log = BuildLog("build@host: Permission denied (publickey).\n@nix not json\n@nix {}")
    assert log.errors == []
    assert log.words == "build@host: Permission denied (publickey)."
    assert "does not accept the SSH key" in remedy(log.words, "here")


def test_the_error_itself_is_cut_out_of_its_trace() -> None:
    newer = "warning: x\nerror:\n       … while calling the 'throw' builtin\n         at f.nix:1:1\n\n       error: no key given\n"
    older = "\x1b[31;1merror:\x1b[0m attribute 'image' missing\n\n       at /f.nix:1:1\n"
    assert essence(newer) == "error: no key given"
    assert essence(older).startswith("error: attribute 'image' missing")
    assert essence("no such thing\n") == "no such thing"


def test_both_lists_of_a_dry_run_are_read() -> None:
    text = (
        "warning: something\nthese 2 derivations will be built:\n  /nix/store/a.drv\n  /nix/store/b.drv\n"
        "this path will be fetched (0.1 MiB download, 0.2 MiB unpacked):\n  /nix/store/c\n"
    )
    found = store.read_dry_run(text)
    assert (found.built, found.fetched) == (["/nix/store/a.drv", "/nix/store/b.drv"], ["/nix/store/c"])
    assert (found.download_size, found.unpacked_size) == (104858, 209715)
    assert store.read_dry_run("") == store.Missing()


def test_lists_end_where_they_end_and_may_lack_sizes() -> None:
    text = (
        "  /nix/store/of-no-list\nthis derivation will be built:\n  /nix/store/a.drv\ncopying 3 paths...\n  /nix/store/of-no-list\n"
        "this path will be fetched:\n  /nix/store/c\n"
    )
    assert store.read_dry_run(text) == store.Missing(["/nix/store/a.drv"], ["/nix/store/c"])


def test_sizes_are_read_in_every_unit_that_nix_has_used() -> None:
    text = "these 2 paths will be fetched (12.5 KiB download, 1.5 GiB unpacked):\n  /nix/store/a\n  /nix/store/b\n"
    found = store.read_dry_run(text)
    assert (found.download_size, found.unpacked_size) == (12800, 3 << 29)


def test_outputs_are_named_by_their_paths() -> None:
    digest = "0" * 32
    paths = [f"/nix/store/{digest}-a-b-dev", f"/nix/store/{digest}-a-b"]
    found = store.outputs_by_name(f"/nix/store/{digest}-a-b.drv", paths)
    assert list(found.items()) == [("out", paths[1]), ("dev", paths[0])]
