# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name a source of jobs, and the reader that they make: shared by all modules that ask for jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils import http_json
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import (
    jobs_hydra,
    jobs_prometheus,
    jobs_ssh,
    ssh_facts,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsTarget,
    Reader,
    Readings,
    count_from,
    target_from,
)

BUILDER_OPTIONS: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "label": {"type": "str"},
    "address": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str"},
    "host_key": {"type": "str", "no_log": False},  # a public key
    "problem": {"type": "str"},
}
SSH_OPTIONS: dict[str, dict[str, Any]] = {
    "ssh_key": {"type": "path", "no_log": False},  # a path
    "ssh_user": {"type": "str"},
    "ssh_script": {"type": "str", "default": ""},
    "ssh_config": {"type": "str", "default": "none"},
    "ssh_options": {"type": "list", "elements": "str", "default": []},
    "ssh_timeout": {"type": "float", "default": 20.0},
    "ssh_parallel": {"type": "int", "default": 16},
    "ssh_executable": {"type": "str", "default": "ssh"},
}
SOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "builders": {"type": "list", "elements": "dict", "required": True, "options": BUILDER_OPTIONS},
    "source": {"type": "str", "choices": ["prometheus", "hydra", "ssh"], "required": True},
    "url": {"type": "str"},
    **http_json.OPTIONS,
    "max_age_seconds": {"type": "float", "default": 120.0},
    "hydra": {"type": "str", "choices": ["legacy", "new"], "default": "legacy"},
    "prometheus_metric": {"type": "str"},
    "prometheus_label": {"type": "str"},
    "prometheus_selector": {"type": "str", "default": ""},
    **SSH_OPTIONS,
}
REQUIRED_IF = [("source", "prometheus", ["url"]), ("source", "hydra", ["url"])]
Options = Mapping[str, Any]


def targets_from(options: Options) -> list[JobsTarget]:
    """The builders that are asked for; one id stands for one builder."""
    targets = [target_from(entry) for entry in options["builders"]]
    ids = [target.id for target in targets]
    if len(set(ids)) != len(ids):
        raise JobsError("builders: an id stands there twice.")
    labels = [target.label for target in targets if target.label]
    shared = {label for label in labels if labels.count(label) > 1}
    return [
        target._replace(problem=f"it shares the label {target.label} with another machine")
        if target.label in shared and not target.problem and options["source"] != "ssh"
        else target
        for target in targets
    ]


def reader_from(options: Options) -> Reader:
    """What asks the source that the options name."""
    return {"prometheus": _prometheus, "hydra": _hydra, "ssh": _ssh}[options["source"]](options)


def ssh_settings(options: Options) -> ssh_facts.SshSettings:
    """How builders are asked over SSH."""
    return ssh_facts.SshSettings(
        key=options["ssh_key"],
        user=options["ssh_user"],
        script=options["ssh_script"],
        config=options["ssh_config"],
        options=tuple(options["ssh_options"]),
        timeout=options["ssh_timeout"],
        parallel=options["ssh_parallel"],
        executable=options["ssh_executable"],
    )


def _prometheus(options: Options) -> Reader:
    metric, label = jobs_prometheus.METRICS[options["hydra"]]
    query = jobs_prometheus.checked_query(
        jobs_prometheus.Query(
            options["prometheus_metric"] or metric,
            options["prometheus_label"] or label,
            options["prometheus_selector"],
            options["max_age_seconds"],
        )
    )

    def ask(text: str) -> Any:
        return http_json.read_as_asked(jobs_prometheus.query_url(options["url"], text), options)

    return lambda targets: jobs_prometheus.read_jobs(ask, query, targets)


def _hydra(options: Options) -> Reader:
    def ask() -> Any:
        status = http_json.read_as_asked(options["url"], options)
        _check_age(status, options["max_age_seconds"])
        return status

    return lambda targets: jobs_hydra.read_jobs(ask, targets)


def _check_age(status: Any, max_age: float) -> None:
    """The legacy status is read from a database, and says when it was written there."""
    written = count_from(status.get("time")) if isinstance(status, Mapping) else None
    if written is not None and abs(time.time() - written) > max_age:
        raise JobsError(f"Hydra's status is {time.time() - written:.0f} seconds old by this host's clock")


def _ssh(options: Options) -> Reader:
    settings = ssh_settings(options)

    def read(targets: Iterable[JobsTarget]) -> Readings:
        return jobs_ssh.read_jobs(lambda asked: ssh_facts.read_facts(settings, asked), targets)

    return read
