# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and links under their names, whole, with the modes asked for."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import (
    append_line,
    make_directories,
    replace_symlink,
    write_atomic,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(str(path), b"one")
    inode = path.stat().st_ino
    write_atomic(str(path), b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != inode
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["file"]


def test_a_failed_replacement_leaves_the_old_file_alone(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(str(tmp_path / "file"), b"one")
    assert names(tmp_path) == ["file"]


def test_a_link_is_turned_even_when_it_leads_to_a_directory(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        replace_symlink(str(tmp_path / "link"), name)
        assert os.readlink(tmp_path / "link") == name
    assert names(tmp_path) == ["link", "one", "two"]


def test_directories_get_their_mode_under_any_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        assert make_directories(str(tmp_path / "a" / "b")) is True
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o755]
    assert make_directories(str(tmp_path / "a" / "b")) is False


def test_a_file_in_the_way_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(FileExistsError):
        make_directories(str(tmp_path / "a"))


def test_a_line_after_one_that_a_crash_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(str(path), b"one")
    with path.open("ab") as stream:
        stream.write(b"tw")
    append_line(str(path), b"three\n")
    assert path.read_bytes() == b"one\ntw\nthree\n"


def test_a_line_for_which_there_is_only_room_in_part_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(str(path), b"one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append_line(str(path), b"twenty")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    append_line(str(path), b"three")
    assert path.read_bytes() == b"one\ntw\nthree\n"
