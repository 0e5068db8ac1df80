# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: metal_builders
short_description: Equinix Metal machines as Nix builders
version_added: 0.1.0
description:
  - Lists the machines of an Equinix Metal project by their id, with what is needed to build on them as host variables.
  - The SSH host key and the abilities of a machine come from its own events. Of these the oldest are believed that are newer
    than the machine's latest request for an address, which it makes early in every boot.
  - A machine that cannot be given builds is listed all the same, and C(builder_unavailable_reason) says why.
  - C(builder_booting) is true for a machine that has published no host key since its latest request for an address, and null for
    one whose events could not be read. C(builder_console) is where SSH finds its serial console. C(builder_termination_time) is
    when the provider will take the machine back, of whatever market it is.
  - When everything could be read, the variable C(builders_reading) of the group C(all) says so. Ansible goes on without hosts
    when an inventory plugin fails, so whatever writes or deletes by this inventory must look at that variable first.
    It is null as long as the machines were not all read. Machines that are listed, but whose events could not be read, are named in
    C(builders_reading.unread), and the roles that need to know more of them refuse such a reading.
  - C(builders_reading.filters) names the options that may have left machines out, which are O(tags), those named C(only_*), O(query)
    and O(hide_draining). The roles of this collection that write or delete refuse such a reading, unless
    C(builders_reading_allowed_filters) names the options. C(builders_reading.fleet) is O(fleet).
  - An inventory has one source of builders, since one reading cannot answer for two. A second source is refused, whether the
    first one failed or not, and so is one beside hosts that are in the group C(builders) already. C(builders_reading) is null
    then. To build on the machines of several projects, use an inventory for each.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal.inventory
  - constructed
  - inventory_cache
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices: [nixmetal.builders.metal_builders]
  fleet:
    description:
      - List only the machines of this fleet, which carry the tag C(nixmetal-fleet=FLEET). Without it, list those of the project.
    type: str
  tags:
    description:
      - Tags that are mandatory. List only the machines that carry each of them.
    type: list
    elements: str
    default: []
  project_ids:
    description:
      - The ids (UUIDs) of several projects to list as one, in place of the one that O(project_id) names. When one of them cannot be
        read, none is listed.
    type: list
    elements: str
    default: []
  only_states:
    description:
      - List only the machines in these states, by the provider's words.
    type: list
    elements: str
    default: []
  only_metros:
    description:
      - List only the machines in these metros, by code.
    type: list
    elements: str
    default: []
  only_plans:
    description:
      - List only the machines of these plans, by slug.
    type: list
    elements: str
    default: []
  only_hostnames:
    description:
      - List only the machines with these hostnames.
    type: list
    elements: str
    default: []
  only_images:
    description:
      - List only the machines that say that they run one of these images, by image id. A machine whose events could not be read stays
        listed, with the reason.
    type: list
    elements: str
    default: []
  only_spot:
    description:
      - List only the machines of the spot market, or with V(false) only the others.
    type: bool
  query:
    description:
      - A JMESPath expression over the list of devices, as M(nixmetal.builders.metal_device_info) returns them, that yields those to
        list, or their ids. It is applied after the other filters, but for O(only_images).
    type: str
  hide_draining:
    description:
      - Whether machines with one of O(skip_tags) are left out. Their host keys are kept all the same.
    type: bool
    default: false
  known_hosts_file:
    description:
      - The path of a known_hosts file that this inventory keeps. After each complete reading it holds the published host keys of the
        machines, and C(ansible_ssh_common_args) makes SSH believe these and no others.
      - The path must have no spaces.
    type: str
  stale_cache_file:
    description:
      - The path of a file in which the last complete reading is kept, to be listed when the API fails.
      - A reading from it is announced by a warning and by the variable C(builders_stale_since) of the group C(all).
        C(builders_reading) is null then, so nothing that writes, drains or deletes goes on with it.
      - Without this option, nothing is listed when the API fails.
    type: str
  events_cache_file:
    description:
      - The path of a file in which it is kept what machines have said of themselves, so that a reading need not ask for the events of
        each machine. The list of machines is always read, unless C(cache) has it.
      - What was said by a machine that is booting, or makes no sense, is not kept. A reboot shows when the time of
        O(events_cache_timeout) is over; until then SSH refuses the machine's new key.
      - C(builders_reading.read_at) is the time of the oldest part that was used.
    type: str
  events_cache_timeout:
    description:
      - For how many seconds what machines have said is used again.
    type: int
    default: 300
  skip_tags:
    description:
      - A machine with one of these tags takes no new builds, which C(builder_draining) tells. It stays listed.
      - A tag counts as well when an equals sign and the name of an owner follow it.
    type: list
    elements: str
    default: [skip-hydra]
  address:
    description:
      - Which of a machine's addresses to use.
    type: str
    choices: [public_ipv4, private_ipv4, public_ipv6, private_ipv6]
    default: public_ipv4
  address_name:
    description:
      - A Jinja expression for the name to use in place of an address, such as C(short_id ~ '.packethost.net').
      - It sees the builder facts, and C(short_id) and C(facility).
    type: str
  plans:
    description:
      - What the operator knows of machines, by the slug of their plan.
      - Each entry may hold C(user), C(admin_user), C(port), C(systems), C(features), C(mandatory_features), C(max_jobs),
        C(speed_factor) and C(host_key), which override what the machine says of itself.
      - An entry may hold the same under C(defaults), which completes what the machine does not say.
    type: dict
    default: {}
  hostnames:
    description:
      - The same as O(plans), by hostname. It goes before O(plans).
    type: dict
    default: {}
  workers:
    description:
      - How many calls of the API are under way at once.
    type: int
    default: 8
seealso:
  - plugin: nixmetal.builders.ssh_builders
    plugin_type: inventory
  - module: nixmetal.builders.metal_device_info
  - plugin: nixmetal.builders.builders_reading_problems
    plugin_type: filter
"""

EXAMPLES = r"""
---
# metal_builders.yml: the machines of one fleet, grouped by plan and metro
plugin: nixmetal.builders.metal_builders
metal_api_url: https://metal.example.org/metal/v1
metal_auth_token_file: ~/.config/nixmetal/token
project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
fleet: hydra
plans:
  c3.small.x86:
    max_jobs: 8
    defaults:
      systems: [x86_64-linux]
groups:
  ready: builder_unavailable_reason is none and not builder_draining
keyed_groups:
  - prefix: plan
    key: builder_plan
  - prefix: metro
    key: builder_location
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/nixmetal
cache_timeout: 300
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    builders,
    facts,
    inventory_files,
    sdk,
    settings,
    spot_bid,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import ApiError, MetalError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events_cache import EventsCache
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import SdkTransport
from ansible_collections.nixmetal.builders.plugins.plugin_utils.many_hosts import add_host, uncollected
from ansible_collections.nixmetal.builders.plugins.plugin_utils.one_reading import GROUP, READING, announce_alone

STALE = "builders_stale_since"
CONSTRUCTED = ("compose", "groups", "keyed_groups")
CONNECTION_OPTIONS = (
    "metal_api_url",
    "metal_auth_token",
    "metal_auth_token_file",
    "project_id",
    "metal_api_timeout",
    "metal_api_tries",
    "metal_ca_file",
)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Joins the reading of a project to Ansible's inventory; the work is done in module_utils/equinix_metal."""

    NAME = "nixmetal.builders.metal_builders"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("metal_builders.yml", "metal_builders.yaml"))

    def parse(self, inventory: InventoryData, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        announce_alone(inventory, self.NAME, path)
        self._read_config_data(path)
        try:
            checked = settings.from_options(self._connection_options(), os.environ)
            choices = self._choices()
            with uncollected():
                reading = self._reading(checked, path, cache)
                self._populate(inventory, reading, choices, checked)
        except MetalError as error:
            raise AnsibleParserError(f"{self.NAME}: {error}") from error

    def _connection_options(self) -> dict[str, Any]:
        options = {name: self._templated(self.get_option(name)) for name in CONNECTION_OPTIONS}
        return {**options, "project_id": options["project_id"] or next(iter(self.get_option("project_ids")), None)}

    def _templated(self, value: Any) -> Any:
        return self.templar.template(value) if self.templar.is_template(value) else value

    def _choices(self) -> facts.Choices:
        for option in ("plans", "hostnames"):
            facts.check_table(self.get_option(option), option)
        return facts.Choices(
            plans=self.get_option("plans"),
            hostnames=self.get_option("hostnames"),
            skip_tags=tuple(self.get_option("skip_tags")),
            address_kind=self.get_option("address"),
        )

    def _scope(self) -> builders.Scope:
        lists = {name: tuple(self.get_option(f"only_{name}")) for name in builders.FILTERS}
        return builders.Scope(
            fleet=self._fleet(),
            tags=tuple(self.get_option("tags")),
            projects=tuple(self.get_option("project_ids")),
            spot=self.get_option("only_spot"),
            query=self.get_option("query"),
            **lists,
        )

    def _reading(self, checked: settings.Settings, path: str, cache: bool) -> builders.Reading:
        """From the cache when it may be used and has one, or else from the API. An incomplete one is not kept."""
        scope = self._scope()
        mark = builders.fingerprint(checked, scope)
        key = f"{self.get_cache_key(path)}_{mark}"
        caching = self.get_option("cache")
        if caching and cache and key in self._cache:
            return builders.from_cache(self._cache[key])
        reading = self._from_api_or_stale(checked, scope, mark)
        if caching and reading.complete:
            self._cache[key] = reading.as_data()
        return reading

    def _from_api_or_stale(self, checked: settings.Settings, scope: builders.Scope, mark: str) -> builders.Reading:
        """From the API; when that fails, and the operator allows it, what was kept of the last complete reading."""
        kept = self.get_option("stale_cache_file")
        place = inventory_files.checked_path(kept, "stale_cache_file") if kept else None
        try:
            reading = self._from_api(checked, scope)
        except ApiError as error:
            stale = inventory_files.kept(place, mark) if place else None
            if stale is None:
                raise
            return dataclasses.replace(
                stale,
                complete=False,
                stale=True,
                problems=[f"the API failed ({error}), so this is the reading of {stale.read_at}"],
            )
        if place and reading.complete:
            inventory_files.keep(place, mark, reading)
        return reading

    def _from_api(self, checked: settings.Settings, scope: builders.Scope) -> builders.Reading:
        workers = self.get_option("workers")
        transport = SdkTransport(checked, sdk.load_lean(), connections=workers)
        projects = [settings.with_project(checked, project) for project in scope.projects] or [checked]
        cache = self._events_cache(checked, scope)
        return builders.take([Client(project, transport) for project in projects], scope, workers, cache)

    def _events_cache(self, checked: settings.Settings, scope: builders.Scope) -> EventsCache | None:
        """One file for each set of projects; what it leaves out of them is of no account."""
        option = self.get_option("events_cache_file")
        if not option:
            return None
        path = inventory_files.checked_path(option, "events_cache_file")
        mark = builders.fingerprint(checked, builders.Scope(projects=scope.projects))
        return EventsCache(path, mark, float(self.get_option("events_cache_timeout")))

    def _fleet(self) -> str | None:
        """An empty name is a mistake, as of a variable without a value, and must not mean every fleet's machines."""
        fleet = self._templated(self.get_option("fleet"))
        return None if fleet is None else spot_bid.check_name(fleet, "fleet")

    def _populate(
        self, inventory: InventoryData, reading: builders.Reading, choices: facts.Choices, checked: settings.Settings
    ) -> None:
        inventory.add_group(GROUP)
        hosts = [self._variables(machine, choices) for machine in reading.machines]
        # Before any is hidden: one that drains is still spoken to.
        self._keep_host_keys(hosts, reading)
        hidden = self.get_option("hide_draining")
        hosts = [host for host in hosts if not (host["builder_draining"] and hidden)]
        construct = any(self.get_option(option) for option in CONSTRUCTED)
        for host in hosts:
            add_host(inventory, host)
            if construct:
                self._construct(host)
        if reading.stale:
            inventory.set_variable("all", STALE, reading.read_at)
        # A machine whose events could not be read is listed and named: who can do without its words may go on.
        if not reading.stale:
            projects = ",".join(self.get_option("project_ids")) or checked.project_id
            source = f"{self.NAME.rpartition('.')[2]} {checked.url}"
            told = builders.announcement(reading, source, projects, len(hosts), self._scope(), hidden)
            inventory.set_variable("all", READING, told)
        for problem in reading.problems:
            self.display.warning(
                f"{self.NAME}: {problem}. Whatever needs to know that does not go on with this reading."
            )

    def _variables(self, machine: Mapping[str, Any], choices: facts.Choices) -> dict[str, Any]:
        variables = builders.host_variables(machine, choices)
        self._name_address(variables, machine)
        return variables

    def _keep_host_keys(self, hosts: list[dict[str, Any]], reading: builders.Reading) -> None:
        """Write the keys of a complete reading, and point SSH at the file; without one, the file stays as it is."""
        option = self.get_option("known_hosts_file")
        if not option:
            return
        path = inventory_files.checked_path(option, "known_hosts_file")
        if reading.complete:
            inventory_files.write_known_hosts(path, hosts)
        for host in hosts:
            host["ansible_ssh_common_args"] = inventory_files.ssh_arguments(path)

    def _construct(self, variables: dict[str, Any]) -> None:
        host, strict = variables["builder_id"], self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _name_address(self, variables: dict[str, Any], machine: Mapping[str, Any]) -> None:
        expression = self.get_option("address_name")
        if expression:
            known = {**variables, "short_id": machine["device"]["short_id"], "facility": machine["device"]["facility"]}
            builders.use_address(variables, str(self._compose(expression, known)))
