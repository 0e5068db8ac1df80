# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's directory and files: written once, never over something that is not the lab's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

HOSTS = {"build": ["192.0.2.10", "lab-build"], "web": ["192.0.2.11", "lab-web"]}
ME = os.getuid()


@pytest.fixture
def owned_by_me(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs run as root; the tests need not."""
    if ME:
        monkeypatch.setattr(os, "chown", lambda *_: None)


def test_a_file_is_written_when_it_differs(tmp_path: Path, owned_by_me: None) -> None:
    from lab_files import write_files

    entries = [{"path": "/etc/hostname", "content": "lab-web\n"}, {"path": "/root/key", "content": "k", "mode": "0600"}]
    assert write_files(tmp_path, entries) == ["/etc/hostname", "/root/key"]
    assert write_files(tmp_path, entries) == []
    assert stat.S_IMODE((tmp_path / "root/key").stat().st_mode) == 0o600
    (tmp_path / "etc/hostname").chmod(0o600)
    assert write_files(tmp_path, entries) == ["/etc/hostname"]


def test_a_directory_holds_what_its_source_holds(tmp_path: Path, owned_by_me: None) -> None:
    from lab_files import write_files

    source, entries = tmp_path / "source", [{"path": "srv/packages", "directory": str(tmp_path / "source")}]
    source.mkdir()
    (source / "nix_1_amd64.deb").write_text("one")
    assert write_files(tmp_path / "root", entries) == ["srv/packages"]
    assert write_files(tmp_path / "root", entries) == []
    (source / "nix_1_amd64.deb").rename(source / "nix_2_amd64.deb")
    assert write_files(tmp_path / "root", entries) == ["srv/packages"]
    assert os.listdir(tmp_path / "root/srv/packages") == ["nix_2_amd64.deb"]
    (tmp_path / "root/srv/packages/nix_2_amd64.deb").write_text("")
    assert write_files(tmp_path / "root", entries) == ["srv/packages"], "a file that was cut short is copied again"
    assert (tmp_path / "root/srv/packages/nix_2_amd64.deb").read_text() == "one"


def test_keys_are_made_once_and_known(tmp_path: Path, owned_by_me: None) -> None:
    from lab_directory import prepare

    changed, keys = prepare(tmp_path / "lab", "lab", ME, HOSTS)
    assert changed
    assert sorted(keys) == ["build", "builder", "controller", "web"]
    assert prepare(tmp_path / "lab", "lab", ME, HOSTS) == (False, keys)
    known = (tmp_path / "lab/ssh/known_hosts").read_text().splitlines()
    assert known[0] == f"192.0.2.10,lab-build {' '.join(keys['build'].split()[:2])}"


def test_a_directory_with_something_else_is_refused(tmp_path: Path) -> None:
    from lab_directory import prepare

    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match=r"lab_directory: .* is not empty and is not a lab's directory"):
        prepare(tmp_path, "lab", ME, HOSTS)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_another_labs_directory_is_refused(tmp_path: Path, owned_by_me: None) -> None:
    from lab_directory import prepare

    prepare(tmp_path / "lab", "lab", ME, HOSTS)
    with pytest.raises(SystemExit, match="belongs to the lab named lab, not to other"):
        prepare(tmp_path / "lab", "other", ME, HOSTS)


def test_only_this_labs_directory_is_removed(tmp_path: Path, owned_by_me: None) -> None:
    from lab_directory import prepare, remove

    prepare(tmp_path / "lab", "lab", ME, HOSTS)
    with pytest.raises(SystemExit, match=r"is that of the lab named lab\. Nothing was touched"):
        remove(tmp_path / "lab", "other")
    assert remove(tmp_path / "lab", "lab") is True
    assert remove(tmp_path / "lab", "lab") is False


def test_a_directory_without_the_mark_stays(tmp_path: Path) -> None:
    from lab_directory import remove

    with pytest.raises(SystemExit, match=r"has no file \.nixmetal-lab"):
        remove(tmp_path, "lab")
    assert tmp_path.exists()


def test_nothing_is_removed_below_a_mount(tmp_path: Path, owned_by_me: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab_directory

    lab_directory.prepare(tmp_path / "lab", "lab", ME, HOSTS)
    monkeypatch.setattr(lab_directory, "mounted_below", lambda _: ["/srv/lab/roots/build/mnt"])
    with pytest.raises(SystemExit, match="/srv/lab/roots/build/mnt is mounted"):
        lab_directory.remove(tmp_path / "lab", "lab")
    assert (tmp_path / "lab/ssh/id_ed25519").exists()
