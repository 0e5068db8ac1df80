# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts and ends the long-lived processes of a lab, each with a record of its own.

A record names the process by number, start time and boot, so that a number which the kernel has given to somebody
else since is never signalled. Ending a process that is not ours any more is not an error: there is nothing to end.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTLE_SECONDS = 0.4
KILL_SECONDS = 10.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Order:
    """How a process is started and ended."""

    fingerprint: str = ""
    ready_in_log: str = ""
    start_seconds: float = 10.0
    stop_seconds: float = 10.0


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int) -> int | None:
    """The process's start in clock ticks since boot (field 22 of stat), or None when there is no live process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def identity(pid: int) -> dict[str, Any]:
    return {"pid": pid, "start_time": start_time(pid), "boot_id": boot_id()}


def fingerprint(command: list[str], extra: str) -> str:
    return hashlib.sha256("\0".join([*command, extra]).encode()).hexdigest()


def read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        sys.exit(
            f"{path} is not a process record of a lab. Look at it, and remove it when no process of the lab is left."
        )
    return record if isinstance(record, dict) else None


def is_alive(record: dict[str, Any] | None) -> bool:
    if not record or record["boot_id"] != boot_id():
        return False
    began = start_time(record["pid"])
    return began is not None and bool(began == record["start_time"])


def write_record(path: Path, record: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    part.rename(path)


def wait_gone(record: dict[str, Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(record) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def stop(path: Path) -> bool:
    """End the recorded process: asked first, then by force. True when something was ended."""
    record = read_record(path)
    if record is None:
        return False
    ended = is_alive(record)
    for sign, seconds in ((signal.SIGTERM, record["stop_seconds"]), (signal.SIGKILL, KILL_SECONDS)):
        if is_alive(record):
            with contextlib.suppress(ProcessLookupError):
                os.kill(record["pid"], sign)
            wait_gone(record, seconds)
    path.unlink(missing_ok=True)
    return ended


def tail(log: Path, offset: int, lines: int = 20) -> str:
    return "\n".join(log.read_bytes()[offset:].decode(errors="replace").splitlines()[-lines:])


def launch(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )


def wait_ready(process: subprocess.Popen[bytes], log: Path, offset: int, order: Order) -> str:
    """Until the log shows the sign of readiness; the trouble in words otherwise. Without a sign: until it has settled."""
    sign = order.ready_in_log.encode()
    deadline = time.monotonic() + (order.start_seconds if sign else SETTLE_SECONDS)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"ended with status {process.returncode}"
        if sign and sign in log.read_bytes()[offset:]:
            return ""
        time.sleep(POLL_SECONDS)
    return f"was not ready after {order.start_seconds:.0f} seconds" if sign else ""


def start(path: Path, log: Path, command: list[str], order: Order) -> bool:
    """Have exactly this command running. True when it had to be started."""
    mark = fingerprint(command, order.fingerprint)
    record = read_record(path)
    if record and is_alive(record) and record["fingerprint"] == mark:
        return False
    stop(path)
    offset = log.stat().st_size if log.exists() else 0
    process = launch(command, log)
    write_record(
        path, {**identity(process.pid), "fingerprint": mark, "stop_seconds": order.stop_seconds, "command": command}
    )
    if trouble := wait_ready(process, log, offset, order):
        stop(path)
        sys.exit(f"{path.stem} {trouble}. The end of {log}:\n{tail(log, offset)}")
    return True


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab_process")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--record", type=Path, required=True, help="the file that remembers the process")
    parser.add_argument("--log", type=Path, help="where its output goes")
    parser.add_argument("--fingerprint", default="", help="another value than the last time means: start it anew")
    parser.add_argument("--ready-in-log", default="", help="the text in its output that says it is ready")
    parser.add_argument("--start-seconds", type=float, default=10.0, help="how long it may take to be ready")
    parser.add_argument("--stop-seconds", type=float, default=10.0, help="between the request to end and the force")
    return parser.parse_args(arguments)


def split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and the command that stands behind a lone `--`."""
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def main(arguments: list[str]) -> None:
    own, command = split_command(arguments)
    options = parse(own)
    if options.action == "stop":
        changed = stop(options.record)
    else:
        order = Order(options.fingerprint, options.ready_in_log, options.start_seconds, options.stop_seconds)
        changed = start(options.record, options.log, command, order)
    print(json.dumps({"changed": changed}))


if __name__ == "__main__":
    main(sys.argv[1:])
