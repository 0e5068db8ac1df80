# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache that labs share: removed by its last user alone, never taken for one's own, and filled once and whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ME = os.getuid()
CHECKOUT = Path(__file__).resolve().parents[4]
needs_root = pytest.mark.skipif(ME != 0, reason="namespaces of one's own need root")


@pytest.fixture(autouse=True)
def owned_by_me(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs run as root; most of the tests need not."""
    if ME:
        monkeypatch.setattr(os, "chown", lambda *_: None)


def a_lab(path: Path) -> Path:
    path.mkdir()
    (path / ".nixmetal-lab").write_text(f"{path.name}\n")
    return path


def test_the_last_lab_removes_the_cache(tmp_path: Path) -> None:
    from lab_cache import claim, release

    cache, one, two = tmp_path / "cache", a_lab(tmp_path / "one"), a_lab(tmp_path / "two")
    assert [claim(cache, one), claim(cache, one), claim(cache, two)] == [True, False, True]
    assert release(cache, one, keep=False) is False
    assert release(cache, two, keep=True) is False
    assert cache.exists()
    assert release(cache, two, keep=False) is True
    assert not cache.exists()
    assert release(cache, two, keep=False) is False


def test_a_lab_that_is_gone_holds_no_cache(tmp_path: Path) -> None:
    from lab_cache import claim, release

    cache, one, two = tmp_path / "cache", a_lab(tmp_path / "one"), a_lab(tmp_path / "two")
    claim(cache, one), claim(cache, two)
    (one / ".nixmetal-lab").unlink()
    assert release(cache, two, keep=False) is True


def test_somebody_elses_directory_is_neither_used_nor_removed(tmp_path: Path) -> None:
    from lab_cache import claim, release

    precious, lab = tmp_path / "precious", a_lab(tmp_path / "lab")
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match=r"lab_cache_directory: .*precious is not empty and is not a lab's cache"):
        claim(precious, lab)
    assert release(precious, lab, keep=False) is False
    assert os.listdir(precious) == ["thesis.txt"]


def test_a_cache_with_a_mount_in_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab_cache

    cache, lab = tmp_path / "cache", a_lab(tmp_path / "lab")
    lab_cache.claim(cache, lab)
    monkeypatch.setattr(lab_cache, "mounted_below", lambda _: [f"{cache}/root/dev/shm"])
    with pytest.raises(SystemExit, match="root/dev/shm is mounted"):
        lab_cache.release(cache, lab, keep=False)
    assert (cache / ".nixmetal-lab-cache").is_dir()


@needs_root
def test_two_labs_make_a_directory_once(tmp_path: Path) -> None:
    from lab_cache import claim, fill

    cache = tmp_path / "cache"
    claim(cache, a_lab(tmp_path / "lab"))
    made: list[bool] = []
    command = ["sh", "-c", 'mkdir "$1" && sleep 0.3 && touch "$1/whole"', "sh", "{}"]
    labs = [
        threading.Thread(target=lambda at=number: made.append(fill(cache, "root", command, tmp_path / f"{at}.json")))
        for number in range(2)
    ]
    for lab in labs:
        lab.start()
    for lab in labs:
        lab.join()
    assert sorted(made) == [False, True]
    assert os.listdir(cache / "root") == ["whole"]
    assert sorted(os.listdir(cache)) == [".nixmetal-lab-cache", "root"]


@needs_root
def test_a_failed_maker_leaves_nothing(tmp_path: Path) -> None:
    from lab_cache import claim, fill

    cache = tmp_path / "cache"
    claim(cache, a_lab(tmp_path / "lab"))
    with pytest.raises(SystemExit, match="sh ended with status 3"):
        fill(cache, "root", ["sh", "-c", 'mkdir "$1"; exit 3', "sh", "{}"], tmp_path / "record.json")
    assert os.listdir(cache) == [".nixmetal-lab-cache"]
    assert not (tmp_path / "record.json").exists()


@needs_root
def test_ending_a_maker_ends_its_processes_and_its_mounts(tmp_path: Path) -> None:
    import lab_process
    from lab_cache import claim

    cache, record, work = tmp_path / "cache", tmp_path / "record.json", tmp_path / "cache/root.part"
    claim(cache, a_lab(tmp_path / "lab"))
    maker = ["sh", "-c", 'mkdir "$1"; mount -t tmpfs tmpfs "$1"; touch "$1/inside"; echo up >&2; sleep 60', "sh", "{}"]
    command = [sys.executable, str(CHECKOUT / "roles/lab/files/lab_cache.py"), "fill", str(cache), "root"]
    command += ["--record", str(record), "--", *maker]
    filling = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert filling.stderr is not None
    assert filling.stderr.readline() == "up\n"
    assert os.listdir(work) == [], "the mount is seen by the maker alone"
    begin = time.monotonic()
    assert lab_process.stop(record) is True
    assert filling.wait(10) == 1
    assert time.monotonic() - begin < 10
    assert os.listdir(cache) == [".nixmetal-lab-cache"]
