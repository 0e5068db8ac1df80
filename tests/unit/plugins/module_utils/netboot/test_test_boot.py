# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a test boot believes, and what it says of an image that it does not let pass."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.boot import (
    Outcome,
    Trial,
    boot,
    from_directory,
    from_store,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.machine import Hardware

STAND_IN = Path(__file__).parent / "machine_that_reports.py"
IMAGE = "abcd-image"


def stand_in(directory: Path, behaviour: str, acceleration: str = "tcg") -> Hardware:
    program = directory / behaviour
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {behaviour} "$@"\n')
    program.chmod(0o755)
    return Hardware(str(program), 64, 1, acceleration)


def trial(store: Any) -> Trial:
    manifest = check_manifest(store.image(IMAGE), "manifest")
    return Trial(manifest, "stable", ("tried=1",), from_store(str(store.root), manifest))


def booted(store: Any, tmp_path: Path, behaviour: str, timeout: float = 30, acceleration: str = "tcg") -> Outcome:
    hardware = stand_in(tmp_path, behaviour, acceleration)
    return boot(trial(store), hardware, str(tmp_path / "consoles" / "stable.log"), timeout)


@pytest.mark.parametrize("behaviour", ["reports", "garbage"])
def test_an_image_that_reports_its_id_and_is_ready_passes(store: Any, tmp_path: Path, behaviour: str) -> None:
    outcome = booted(store, tmp_path, behaviour)
    assert outcome.report == (IMAGE, "b00t")
    assert outcome.acceleration == "tcg"


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("is-another", "says that it is '0000-another'"),
        ("restarts", "ended before it was ready"),
        ("never-ready", "it has reported its id but not that it is ready"),
        ("only-ready", 'it has not reported, and the last thing that it asked for was "POST /phone-home'),
        ("silent", 'it has not reported, and the last thing that it asked for was "GET /metadata'),
    ],
)
def test_another_image_does_not_pass_and_its_last_words_are_told(
    store: Any, tmp_path: Path, behaviour: str, words: str
) -> None:
    begin = time.monotonic()
    with pytest.raises(NetbootError) as refused:
        # Those that end by themselves are not waited for, however slow this machine is.
        booted(store, tmp_path, behaviour, timeout=60 if behaviour in ("is-another", "restarts") else 3)
    assert words in str(refused.value)
    assert "It was not activated" in str(refused.value)
    assert str(refused.value).endswith("booting\nlast words")
    assert time.monotonic() - begin < 50


def test_kvm_that_breaks_down_is_given_up(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_arguments: True)  # a machine with a /dev/kvm
    assert booted(store, tmp_path, "kvm-breaks", acceleration="auto").acceleration == "tcg"


def test_nothing_is_booted_that_is_for_another_system_or_not_there(store: Any, tmp_path: Path) -> None:
    whole = trial(store)
    hardware, console = stand_in(tmp_path, "reports"), str(tmp_path / "console")
    with pytest.raises(NetbootError, match="the image is for aarch64-linux"):
        boot(whole._replace(manifest=whole.manifest._replace(system="aarch64-linux")), hardware, console, 5)
    Path(next(iter(whole.files.values()))).unlink()
    with pytest.raises(NetbootError, match="is not there; stream the image again"):
        boot(whole, hardware, console, 5)


def test_an_image_directory_names_its_files(store: Any, tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match=r"directory: cannot read .*manifest\.json"):
        from_directory(str(tmp_path))
    store.image(IMAGE)
    shutil.copy(store.root / ".state" / "staging" / IMAGE / "manifest.json", tmp_path)
    manifest, files = from_directory(str(tmp_path))
    assert {Path(path).name for path in files.values()} == {file.name for file in manifest.files}


@pytest.mark.long
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86 is not installed")
def test_a_kernel_that_is_none_is_told_by_real_ipxe(store: Any, tmp_path: Path) -> None:
    """iPXE fetches the release's script and its kernel, and then nothing is heard of it."""
    with pytest.raises(NetbootError) as refused:
        boot(trial(store), Hardware("qemu-system-x86_64", 64, 1, "tcg"), str(tmp_path / "console"), 30)
    assert "was not ready within 30 s" in str(refused.value)
    assert "nixmetal: image abcd-image" in str(refused.value)
