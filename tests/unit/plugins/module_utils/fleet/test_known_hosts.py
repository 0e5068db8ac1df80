# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of known_hosts."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.known_hosts import known_hosts_lines

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqT"


def test_one_line_for_a_key_that_is_said_twice(builder: Any) -> None:
    assert known_hosts_lines([builder()]) == [f"10.213.77.101 {KEY}"]


def test_other_port_is_written_as_openssh_looks_it_up(builder: Any) -> None:
    endpoint = {"systems": ["armv7l-linux"], "port": 2222, "host_keys": [KEY]}
    lines = known_hosts_lines([builder(builder_endpoints=[endpoint])])
    assert lines == [f"10.213.77.101 {KEY}", f"[10.213.77.101]:2222 {KEY}"]


def test_machine_without_address_or_key_has_no_line(builder: Any) -> None:
    assert (
        known_hosts_lines([builder(builder_address=None), builder(builder_host_key=None, builder_endpoints=[])]) == []
    )
