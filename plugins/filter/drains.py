# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters for drains: who may drain and restore which machine, and how its jobs are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import drains
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_of
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.verify_summary import verify_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Hosts = Iterable[Mapping[str, Any]]


def _facts(hosts: Hosts) -> list[dict[str, Any]]:
    """The builder facts of each host, and the one variable beside them that names it for Hydra."""
    more = "builder_jobs_label"
    return [{**facts_of(host), **({more: host[more]} if more in host else {})} for host in hosts]


def builder_drain_problems(hosts: Hosts, ids: Sequence[str], tag: str, owner: str, force: bool = False) -> list[str]:
    return drains.drain_problems(_facts(hosts), ids, tag, owner, force)


def builder_drain_tags(hosts: Hosts, tag: str) -> dict[str, list[str]]:
    return {facts["builder_id"]: drains.tags_to_lift(facts, tag) for facts in _facts(hosts)}


def builder_tag_requests(
    tags: Mapping[str, Sequence[str]], hosts: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, list[str]]]:
    return drains.tag_requests(_facts(hosts[name] for name in tags), tags)


def builder_jobs_targets(
    hosts: Hosts, ids: Sequence[str], source: str = "ssh", hydra: str = "legacy", scheme: str = "", user: str = ""
) -> list[dict[str, Any]]:
    return drains.jobs_targets(_facts(hosts), ids, source, hydra, scheme, user)


def builder_verify_hosts(hosts: Hosts, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    return drains.hosts_to_verify(_facts(hosts), ids)


def builder_verify_problems(
    results: Sequence[Mapping[str, Any]], ids: Sequence[str], excluded: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    return drains.verify_problems(results, ids, excluded)


def builder_verify_expected(host: Mapping[str, Any], boots: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return drains.verify_expected(facts_of(host), boots)


def builder_verify_take_out(results: Sequence[Mapping[str, Any]], hosts: Hosts, tag: str) -> list[str]:
    return drains.verify_take_out(results, _facts(hosts), tag)


def builder_verify_summary(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return verify_lines(results)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "builder_drain_problems": for_operators(builder_drain_problems),
            "builder_drain_tags": for_operators(builder_drain_tags),
            "builder_tag_requests": for_operators(builder_tag_requests),
            "builder_verify_hosts": for_operators(builder_verify_hosts),
            "builder_verify_expected": for_operators(builder_verify_expected),
            "builder_verify_take_out": for_operators(builder_verify_take_out),
            "builder_verify_summary": for_operators(builder_verify_summary),
            "builder_verify_problems": for_operators(builder_verify_problems),
            "builder_jobs_targets": for_operators(builder_jobs_targets),
        }
