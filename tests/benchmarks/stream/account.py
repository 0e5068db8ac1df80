# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who worked: CPU seconds of the hosts' processes alone, by a control group, and what else this machine did meanwhile."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

MOUNTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


class Account:
    """A control group (version 2) that the processes to be counted are put into."""

    def __init__(self) -> None:
        mount = next((path for path in MOUNTS if (path / "cgroup.procs").exists()), None)
        if mount is None:
            raise SystemExit(
                "no control groups of version 2 are mounted; CPU seconds cannot be told apart without them"
            )
        self._group = mount / f"nixmetal-bench-{os.getpid()}"
        self._group.mkdir()

    def add(self, pids: Iterable[int]) -> None:
        """Count these processes, and from now on whatever they start."""
        for pid in pids:
            (self._group / "cgroup.procs").write_text(str(pid))

    def joined(self, command: list[str]) -> list[str]:
        """The command that counts itself before it becomes another one."""
        return ["sh", "-c", f'echo $$ > {self._group}/cgroup.procs; exec "$@"', "count", *command]

    def seconds(self) -> float:
        """What the counted processes have worked so far."""
        used = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(used["usage_usec"]) / 1e6

    def close(self) -> None:
        """Let the processes go back to where all others are."""
        for pid in (self._group / "cgroup.procs").read_text().split():
            (self._group.parent / "cgroup.procs").write_text(pid)
        self._group.rmdir()


def machine_seconds() -> float:
    """What all processors of this machine have worked so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft = fields[:7]
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1_000_000
    release = platform.release().partition("-")[0]
    return f"{len(models)} x {models[0]}, {memory} GB of memory, Linux {release}"
