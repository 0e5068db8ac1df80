# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of machines that no provider keeps tags for: one JSON file on the coordinator, edited under a lock, replaced by rename(2).

A file that is missing or is no such file is unknown, and unknown is never "no tags": a drained machine would get builds again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import make_directories, write_atomic
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.tag_edits import Edit, are_texts

SCHEMA = 1

Tags = dict[str, list[str]]


def parse_tags(text: str | bytes, source: str) -> Tags:
    """The tags of each machine that has any."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    machines = document.get("machines") if isinstance(document, Mapping) and document.get("schema") == SCHEMA else None
    if not isinstance(machines, Mapping) or not all(_are_tags(tags) for tags in machines.values()):
        raise FleetError(
            f"{source} is no file of tags (schema {SCHEMA}), so it is not known which machines drain: put back the last good one "
            "from a backup, or make it anew with ssh_host_tags (state: initialised) and drain again what shall be drained"
        )
    return {str(name): list(tags) for name, tags in machines.items()}


def initialise(path: str, check_mode: bool = False) -> bool:
    """Make the file, without tags, unless there is one. True when it was made."""
    if not check_mode:
        make_directories(os.path.dirname(path))
    elif not os.path.isdir(os.path.dirname(path)):
        return True
    with _locked(path, check_mode):
        if os.path.exists(path):
            _read(path)
            return False
        if not check_mode:
            _write(path, {})
        return True


def edit_tags(path: str, edits: Mapping[str, Edit], check_mode: bool = False) -> tuple[Tags, Tags]:
    """Change the tags of some machines. Their tags before and after."""
    for tag in (tag for edit in edits.values() for tag in edit.add + edit.remove):
        if not tag or tag != tag.strip() or not tag.isprintable():
            raise FleetError(f"machines: a tag is a word without spaces around it, not {tag!r}")
    with _locked(path, check_mode):
        tags = _read(path)
        before = {machine: tags.get(machine, []) for machine in edits}
        after = {machine: edit.applied(before[machine]) for machine, edit in edits.items()}
        if after != before and not check_mode:
            _write(path, {**tags, **after})
        return before, after


def _are_tags(tags: Any) -> bool:
    return are_texts(tags) and all(tags)


def _read(path: str) -> Tags:
    try:
        with open(path, "rb") as stream:
            return parse_tags(stream.read(), path)
    except FileNotFoundError as error:
        raise FleetError(
            f"there is no file of tags {path}: make it once with ssh_host_tags (state: initialised), or correct ssh_host_tags_file"
        ) from error


def _write(path: str, tags: Tags) -> None:
    document = {"schema": SCHEMA, "machines": {name: own for name, own in sorted(tags.items()) if own}}
    write_atomic(path, json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n")


@contextlib.contextmanager
def _locked(path: str, check_mode: bool) -> Iterator[None]:
    """One editor at a time. In check mode nothing is written, the lock's file included."""
    if check_mode or not os.path.isdir(os.path.dirname(path)):
        yield
        return
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
