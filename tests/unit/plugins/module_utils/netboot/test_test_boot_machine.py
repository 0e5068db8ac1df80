# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read out of QEMU's words and out of a console."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.machine import Hardware, Machine, tail


def test_a_breakdown_of_kvm_is_seen_whatever_qemu_says_after_it(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text(
        "#!/bin/sh\necho 'KVM internal error. Suberror: 1' >&2\nyes registers | head -n 500 >&2\nexec sleep 60\n"
    )
    program.chmod(0o755)
    machine = Machine(Hardware(str(program), 16, 1, "tcg"), "http://x", str(tmp_path / "console"))
    deadline = time.monotonic() + 20
    while len(machine.complaint()) < 400 and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert machine.kvm_broke_down()
    finally:
        machine.stop()


def test_the_tail_is_without_commands_of_a_terminal(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("\x1bc\x1b[0;1mone\x1b[0m\r\n")
    assert tail(str(console)) == ["one"]
