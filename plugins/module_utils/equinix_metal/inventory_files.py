# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that the inventory keeps beside itself: the last complete reading, and the host keys of its machines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import marked_file
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.builders import Reading, from_cache
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError

# SSH splits the option at spaces and expands percent signs; Ansible splits the arguments as a shell does.
_PATH = re.compile(r"[A-Za-z0-9_./+=:@,-]+")


def checked_path(value: str, option: str) -> str:
    """An absolute path that can stand in an SSH option as it is."""
    path = os.path.abspath(os.path.expanduser(value))
    if not _PATH.fullmatch(path):
        raise SettingError(f"{option} must be a path without spaces, quotes and percent signs: {path}")
    return path


def keep(path: str, mark: str, reading: Reading) -> None:
    """Keep a complete reading for worse times."""
    marked_file.save(path, mark, reading.as_data())


def kept(path: str, mark: str) -> Reading | None:
    """The reading that was kept for the same settings; None when there is none."""
    data = marked_file.load(path, mark)
    try:
        return None if data is None else from_cache(data)
    except (KeyError, TypeError):
        return None


def write_known_hosts(path: str, machines: Iterable[Mapping[str, Any]]) -> None:
    """The host keys of all machines that have published one, one line each."""
    lines = sorted(
        {str(machine["builder_known_hosts_line"]) for machine in machines if machine["builder_known_hosts_line"]}
    )
    marked_file.write(path, "".join(f"{line}\n" for line in lines), 0o644)


def ssh_arguments(path: str) -> str:
    """What makes SSH believe the keys of that file and no others."""
    return f"-o UserKnownHostsFile={path} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
