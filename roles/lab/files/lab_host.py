# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has one host of a lab running: its root is a copy of the lab's Debian root, its files are written, its init lives.

Reads the host from standard input: {"name", "hostname", "namespace", "directory" (the lab's), "base" (the Debian root), "base_key",
"files": [...] as lab_files takes them}.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lab_process
from lab_files import write_file, write_files

ENTER = Path(__file__).parent / "enter_host.sh"
# The first process of a PID namespace is not ended by asking; with it the kernel ends all the others.
STOP_SECONDS = 0.0


def root_is_current(made_of: Path, base_key: str) -> bool:
    return made_of.exists() and made_of.read_text(encoding="utf-8").strip() == base_key


def renew_root(root: Path, made_of: Path, base: Path, base_key: str) -> None:
    made_of.unlink(missing_ok=True)
    if root.exists():
        shutil.rmtree(root)
    subprocess.run(["cp", "--archive", "--reflink=auto", str(base), str(root)], check=True)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    write_file(made_of, f"{base_key}\n", 0o644)


def command(host: dict[str, Any], root: Path) -> list[str]:
    inside = [
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child",
        "sh",
        str(ENTER),
        str(root),
        host["hostname"],
    ]
    return ["ip", "netns", "exec", host["namespace"], *inside]


def ensure(host: dict[str, Any]) -> bool:
    directory = Path(host["directory"])
    root, made_of = directory / "roots" / host["name"], directory / "roots" / f"{host['name']}.made-of"
    record, log = directory / "run" / f"host-{host['name']}.json", directory / "log" / f"host-{host['name']}.log"
    renewed = not root_is_current(made_of, host["base_key"])
    if renewed:
        lab_process.stop(record)
        renew_root(root, made_of, Path(host["base"]), host["base_key"])
    written = write_files(root, host["files"])
    mark = hashlib.sha256((host["base_key"] + ENTER.read_text(encoding="utf-8")).encode()).hexdigest()
    order = lab_process.Order(fingerprint=mark, stop_seconds=STOP_SECONDS)
    started = lab_process.start(record, log, command(host, root), order)
    return bool(renewed or written or started)


def main() -> None:
    print(json.dumps({"changed": ensure(json.load(sys.stdin))}))


if __name__ == "__main__":
    main()
