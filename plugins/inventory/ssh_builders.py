# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_builders
short_description: Machines of your own as Nix builders
version_added: 0.1.0
description:
  - Lists machines that you have anyway (own hardware, a rented server that netboots) with the same host variables as rented ones, so that
    the same roles serve both. What the machines are stands in the plugin's file; which tags they got since, such as those of a drain, in a
    file on the coordinator that the provider role P(nixmetal.builders.ssh_host#role) writes.
  - When the tags could be read, the variable C(builders_reading) of the group C(all) says so. When they could not, it is not known
    which machines drain, so no machine is listed and C(builders_reading) is null.
  - A machine is listed as V(active) unless it was taken out of service. Whether it really runs is asked of the machine itself, by those who
    need to know.
  - An inventory has one source of builders, since one reading cannot answer for two.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - constructed
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices: [nixmetal.builders.ssh_builders]
  fleet:
    description:
      - The fleet that these machines are.
    type: str
    required: true
  machines:
    description:
      - The machines by their id, which is their host name in the inventory. Each may say C(address), C(port) (22), C(user) (C(build)),
        C(admin_user) (C(root)), C(hostname), C(plan), C(location), C(systems), C(features), C(mandatory_features), C(max_jobs),
        C(speed_factor) (1), C(host_key) (public, without comment), C(endpoints), C(boot_url) and C(tags).
    type: dict
    required: true
  defaults:
    description:
      - What counts for each machine that does not say it itself.
    type: dict
    default: {}
  tags_file:
    description:
      - Path of the file of tags, where the controller is the coordinator.
    type: path
  tags_command:
    description:
      - Command, with its arguments, that prints the file of tags, where the coordinator is another host.
      - One of O(tags_file) and O(tags_command) is required.
    type: list
    elements: str
  tags_timeout:
    description:
      - How many seconds O(tags_command) may take.
    type: float
    default: 20
  skip_tags:
    description:
      - Tags that keep builds away, alone or followed by an equals sign and more. C(builder_draining) tells it.
    type: list
    elements: str
    default: [skip-hydra]
seealso:
  - plugin: nixmetal.builders.metal_builders
    plugin_type: inventory
  - module: nixmetal.builders.ssh_host_tags
  - plugin: nixmetal.builders.builders_reading_problems
    plugin_type: filter
"""

EXAMPLES = r"""
# own.ssh_builders.yml
plugin: nixmetal.builders.ssh_builders
fleet: ci
tags_command: [ssh, hydra.example.org, cat, /var/lib/nixmetal/ssh_host/ci.json]
defaults:
  systems: [x86_64-linux, i686-linux]
  max_jobs: 16
machines:
  rack1-a:
    address: 192.0.2.10
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGzvSWzy5tqXdfEyUVcUbSmz4lWo3rkqjdYMyJuFCUaL
  rack1-b:
    address: 192.0.2.11
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
    max_jobs: 4
    features: [big-parallel]
"""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.lock import FLEET_NAME
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.own_machines import own_builder
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.tags_file import Tags, parse_tags
from ansible_collections.nixmetal.builders.plugins.plugin_utils.one_reading import GROUP, READING, announce_alone


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Joins the plugin's file and the file of tags to Ansible's inventory."""

    NAME = "nixmetal.builders.ssh_builders"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("ssh_builders.yml", "ssh_builders.yaml"))

    def parse(self, inventory: InventoryData, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        announce_alone(inventory, self.NAME, path)
        self._read_config_data(path)
        # Before the tags are read, so that no reading passes for newer than one whose tags were read after it.
        read_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._populate(inventory, self._hosts(), read_at)
        except FleetError as error:
            raise AnsibleParserError(f"{self.NAME}: {path}: {error}") from error

    def _hosts(self) -> list[dict[str, Any]]:
        fleet, machines, defaults = self.get_option("fleet"), self.get_option("machines"), self.get_option("defaults")
        if not FLEET_NAME.fullmatch(str(fleet)):
            raise FleetError(f"fleet {fleet!r} is no name of a fleet")
        tags = self._tags()
        skip = self.get_option("skip_tags")
        for name, said in machines.items():
            if not isinstance(said, Mapping):
                raise FleetError(f"machine {name}: it must be a mapping of what the machine is")
        return [
            own_builder(str(name), {**defaults, **said}, fleet, tags.get(str(name), []), skip)
            for name, said in sorted(machines.items())
        ]

    def _tags(self) -> Tags:
        path, command = self.get_option("tags_file"), self.get_option("tags_command")
        if bool(path) == bool(command):
            raise FleetError("give one of tags_file and tags_command, so that it is known which machines drain")
        return parse_tags(self._printed(command), " ".join(command)) if command else _read(Path(path))

    def _printed(self, command: list[str]) -> bytes:
        words = " ".join(command)
        try:
            done = subprocess.run(command, capture_output=True, timeout=self.get_option("tags_timeout"), check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FleetError(f"tags_command ({words}): {error}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-300:]
            raise FleetError(
                f"tags_command ({words}) ended with {done.returncode}: {said}. Where no machine was ever tagged, make the file "
                "first: include the role ssh_host with tasks_from set to setup"
            )
        return done.stdout

    def _populate(self, inventory: InventoryData, hosts: list[dict[str, Any]], read_at: str) -> None:
        inventory.add_group(GROUP)
        for variables in hosts:
            self._add_host(inventory, variables)
        reading = {
            "complete": True,
            "source": self.NAME.rpartition(".")[2],
            "project": None,
            "count": len(hosts),
            "read_at": read_at,
        }
        inventory.set_variable("all", READING, reading)

    def _add_host(self, inventory: InventoryData, variables: dict[str, Any]) -> None:
        host = variables["builder_id"]
        inventory.add_host(host, group=GROUP)
        for name, value in variables.items():
            inventory.set_variable(host, name, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)


def _read(path: Path) -> Tags:
    try:
        return parse_tags(path.read_bytes(), str(path))
    except OSError as error:
        raise FleetError(
            f"tags_file {path}: {error.strerror}. Where no machine was ever tagged, make the file first: include the role ssh_host "
            "with tasks_from set to setup"
        ) from error
