# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what the labs of a machine share: one cache directory with a mark, in which a file names each lab that uses it.

A directory without the mark is somebody else's, and is neither filled nor removed. One lock orders the labs: what one
of them makes in the cache, another waits for and finds.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lab_process
from lab_directory import MARK as LAB_MARK
from lab_directory import mounted_below
from lab_files import write_file

MARK = ".nixmetal-lab-cache"
# The first process of a PID namespace is not ended by asking; with it the kernel ends all the others.
STOP_SECONDS = 0.0
PLACE = "{}"
# What a maker mounts is seen by it alone and is gone with it, and so is every process that it starts.
ALONE = ["unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"]


def user_file(cache: Path, lab: Path) -> Path:
    return cache / MARK / f"{hashlib.sha256(str(lab).encode()).hexdigest()[:16]}.user"


def users(cache: Path) -> list[Path]:
    """The labs that use the cache. One whose directory is gone uses nothing."""
    named = [Path(path.read_text(encoding="utf-8").strip()) for path in (cache / MARK).glob("*.user")]
    return [lab for lab in named if (lab / LAB_MARK).exists()]


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[int]:
    with (cache / MARK / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def refuse_foreign(cache: Path) -> None:
    if not (cache / MARK).is_dir() and cache.exists() and any(cache.iterdir()):
        sys.exit(
            f"lab_cache_directory: {cache} is not empty and is not a lab's cache (it has no directory {MARK}). "
            "Set lab_cache_directory to one of its own."
        )


def claim(cache: Path, lab: Path) -> bool:
    refuse_foreign(cache)
    (cache / MARK).mkdir(parents=True, exist_ok=True)
    with locked(cache):
        return write_file(user_file(cache, lab), f"{lab}\n", 0o644)


def remove_tree(path: Path) -> None:
    """Never through a mount, which leads to what is not ours."""
    if mounts := mounted_below(path):
        sys.exit(f"{', '.join(mounts)} is mounted, and not by the lab. Unmount it first. Nothing was removed.")
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", str(path)], check=True)


def release(cache: Path, lab: Path, keep: bool) -> bool:
    """The lab needs the cache no more; the last one removes it. True when it was removed."""
    if not (cache / MARK).is_dir():
        return False
    user_file(cache, lab).unlink(missing_ok=True)
    if keep or users(cache):
        return False
    with locked(cache):
        if users(cache):
            return False
        remove_tree(cache)
    return True


def make(work: Path, command: list[str], record: Path, lock: int) -> int:
    """Run the command, on record so that taking the lab down ends it. The lock is held until its last process is gone."""
    words = [str(work) if word == PLACE else word for word in command]
    process = subprocess.Popen([*ALONE, *words], stdin=subprocess.DEVNULL, stdout=2, pass_fds=[lock])
    lab_process.write_record(record, lab_process.identity(process.pid) | {"stop_seconds": STOP_SECONDS})
    status = process.wait()
    record.unlink(missing_ok=True)
    return status


def fill(cache: Path, name: str, command: list[str], record: Path) -> bool:
    """Have a directory of this name, made whole by the command; the word {} in it stands for where to make it."""
    with locked(cache) as lock:
        target, work = cache / name, cache / f"{name}.part"
        if target.exists():
            return False
        remove_tree(work)
        if status := make(work, command, record, lock):
            remove_tree(work)
            sys.exit(f"{command[0]} ended with status {status}; {target} was not made.")
        work.rename(target)
    return True


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab_cache")
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("claim", "release", "fill"):
        sub = actions.add_parser(action)
        sub.add_argument("cache", type=Path)
        if action == "fill":
            sub.add_argument("name", help="of the directory to make in the cache")
            sub.add_argument("--record", type=Path, required=True, help="the file that remembers the process")
        else:
            sub.add_argument("lab", type=Path, help="the lab's directory")
        if action == "release":
            sub.add_argument("--keep", action="store_true", help="leave the cache though nobody uses it")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    own, command = lab_process.split_command(arguments)
    options = parse(own)
    os.umask(0o022)
    if options.action == "claim":
        changed = claim(options.cache, options.lab)
    elif options.action == "release":
        changed = release(options.cache, options.lab, options.keep)
    else:
        changed = fill(options.cache, options.name, command, options.record)
    print(json.dumps({"changed": changed}))


if __name__ == "__main__":
    main(sys.argv[1:])
