# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many builds run, from Prometheus: a series for each builder, found by one label.

Two instant queries are made: when each sample was taken, and then the samples. So a sample is at least as new as the age that is
judged, and both times are Prometheus's own. A series that is missing, doubled, old or not a number is unknown.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsReading,
    JobsTarget,
    Readings,
    all_unknown,
    count_from,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.http_json import HttpJsonError

SOURCE = "prometheus"
# The queue runner's own names, before (C++, by a re-exporter) and after March 2026 (Rust).
METRICS: Mapping[str, tuple[str, str]] = {
    "legacy": ("hydra_machine_current_jobs", "host"),
    "new": ("hydraqueuerunner_machine_current_jobs", "hostname"),
}
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SHOWN = 3

Labels = tuple[tuple[str, str], ...]
Ask = Callable[[str], Any]


class Query(NamedTuple):
    """Which series tell the jobs, and how old a sample may be."""

    metric: str
    label: str
    selector: str = ""
    max_age: float = 120.0

    @property
    def text(self) -> str:
        return f"{self.metric}{{{self.selector}}}" if self.selector else self.metric


class Sample(NamedTuple):
    """One series of an answer: its value, and the time for which it was asked."""

    labels: Labels
    value: float
    at: float


def checked_query(query: Query) -> Query:
    """The query, unless a name in it can be none of Prometheus."""
    if not _METRIC.fullmatch(query.metric):
        raise JobsError(f"prometheus_metric: {query.metric!r} is not the name of a metric.")
    if not _LABEL.fullmatch(query.label):
        raise JobsError(f"prometheus_label: {query.label!r} is not the name of a label.")
    return query


def query_url(base: str, text: str) -> str:
    """The address of an instant query."""
    return f"{base.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': text})}"


def read_jobs(ask: Ask, query: Query, targets: Iterable[JobsTarget]) -> Readings:
    """Ask Prometheus once for all builders. `ask` answers a PromQL text with the parsed answer."""
    wanted = list(targets)
    try:
        taken_at = samples(ask(f"timestamp({query.text})"))
        found = samples(ask(query.text))
    except (JobsError, HttpJsonError) as error:
        return all_unknown(wanted, SOURCE, str(error))
    return match(query, wanted, found, taken_at)


def samples(answer: Any) -> list[Sample]:
    """The series of an answer to an instant query."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, Mapping) or answer.get("status") != "success":
        raise JobsError(f"Prometheus answered no result: {str(answer)[:200]}")
    if data.get("resultType") != "vector" or not isinstance(data.get("result"), list):
        raise JobsError(f"Prometheus answered a {data.get('resultType')}, not a vector")
    return [_sample(entry) for entry in data["result"]]


def _sample(entry: Any) -> Sample:
    try:
        labels = tuple(sorted((str(name), str(value)) for name, value in entry["metric"].items() if name != "__name__"))
        at, value = entry["value"]
        return Sample(labels, float(value), float(at))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JobsError(f"Prometheus answered a series that makes no sense: {str(entry)[:200]}") from error


def match(query: Query, targets: Sequence[JobsTarget], found: list[Sample], taken_at: list[Sample]) -> Readings:
    """The reading of each builder."""
    ages = {sample.labels: sample.at - sample.value for sample in taken_at}
    judge = functools.partial(_judged, query, found, ages)
    return {target.id: judge(target) for target in targets}


def _judged(query: Query, found: list[Sample], ages: Mapping[Labels, float], target: JobsTarget) -> JobsReading:
    if target.problem or not target.label:
        return _unknown(target, target.problem or "it has no label to look for")
    own = [sample for sample in found if (query.label, target.label) in sample.labels]
    if len(own) != 1:
        return _unknown(target, _not_one(query, target.label, own, found))
    age = ages.get(own[0].labels)
    if age is None or not age <= query.max_age:
        told = "of unknown age" if age is None else f"{age:.0f} seconds old, more than {query.max_age:g}"
        return _unknown(target, f"the sample of {_series(query, target.label)} is {told}")
    jobs = count_from(own[0].value)
    if jobs is None:
        return _unknown(target, f"{_series(query, target.label)} is {own[0].value}, not a number of jobs")
    return JobsReading(jobs, SOURCE, target.label)


def _unknown(target: JobsTarget, reason: str) -> JobsReading:
    return JobsReading(None, SOURCE, target.label, reason)


def _series(query: Query, label: str) -> str:
    return f'{query.metric}{{{query.label}="{label}"}}'


def _not_one(query: Query, label: str, own: list[Sample], found: list[Sample]) -> str:
    series = _series(query, label)
    if own:
        return f"{len(own)} series {series}: narrow them down with prometheus_selector"
    if not found:
        return f"no series {series}: Prometheus has no {query.text} at all"
    others = sorted({value for sample in found for name, value in sample.labels if name == query.label})
    if not others:
        names = sorted({name for name, _value in found[0].labels})
        return f"no series {series}: {query.metric} has no label {query.label}, but {', '.join(names) or 'none'}"
    more = ", ..." if len(others) > _SHOWN else ""
    return f"no series {series}; there are {', '.join(others[:_SHOWN])}{more}"
