# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout costs the controller: CPU seconds for each machine, on the emulated cloud, whose machines take no time to boot.

python tests/benchmarks/rollout.py [MACHINES [PERCENT]]: 100 machines, 10 % of them at once. At most 5 s of CPU each are aimed at.
Counted is all that ansible-playbook and its children use; the emulator and what stands in for Prometheus and the builders are not. The
test build on each machine is left out: it is the coordinator's.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(CHECKOUT / "tests/unit/roles/rollout"),
    str(CHECKOUT / ".collections"),
    str(CHECKOUT / "extensions/lab"),
]

from conftest import NEW, Fleet  # noqa: E402 - found on the path set above

AIM = 5.0


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(fleet: Fleet, machines: int, percent: str) -> float:
    """CPU seconds of one rollout for each machine."""
    fleet.launch(machines)
    fleet.publish(NEW)
    before, begin = cpu_seconds(), time.monotonic()
    done = fleet.play(
        "rollout",
        limit_seconds=3600,
        builder_rollout_images={"stable": NEW},
        builder_rollout_verify=False,
        builder_rollout_at_once=percent,
        builder_rollout_look_seconds=5,
    )
    used = cpu_seconds() - before
    assert done.returncode == 0, done.stdout[-3000:]
    print(
        f"{machines} machines, {percent} at once: {time.monotonic() - begin:.0f} s, {used:.0f} CPU s, {used / machines:.2f} CPU s a machine"
    )
    return used / machines


def main() -> int:
    machines = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    percent = sys.argv[2] if len(sys.argv) > 2 else "10%"
    with tempfile.TemporaryDirectory(prefix="nixmetal-bench-") as folder:
        pool = {"pool": {"first": "10.213.0.10", "last": "10.213.3.250", "prefix_length": 22, "gateway": "10.213.0.1"}}
        fleet = Fleet(Path(folder), **pool)
        try:
            each = measure(fleet, machines, percent)
        finally:
            fleet.stop()
            fleet.world.stop()
    print(f"aim: at most {AIM:g} CPU s a machine: {'reached' if each <= AIM else 'MISSED'}")
    return int(each > AIM)


if __name__ == "__main__":
    sys.exit(main())
