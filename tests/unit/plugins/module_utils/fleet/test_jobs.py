# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many builds run: from recorded answers, and from answers that must never be taken for idle."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import (
    jobs_hydra,
    jobs_prometheus,
    jobs_sources,
    jobs_ssh,
    ssh_facts,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsReading,
    JobsTarget,
    count_from,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.http_json import HttpJsonError

LABEL = "build@192.0.2.10"
TARGET = JobsTarget("a", LABEL)
NOW = 1_790_000_000.0
OLD = jobs_prometheus.Query("hydra_machine_current_jobs", "host")


def series(value: Any, label: str = LABEL, name: str = "host", at: float = NOW, **more: str) -> dict[str, Any]:
    """One series as Prometheus answers it: the value is a text."""
    return {"metric": {"__name__": "hydra_machine_current_jobs", name: label, **more}, "value": [at, str(value)]}


def vector(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(entries)}}


def prometheus(
    answer: Any, ages: Any = None, query: jobs_prometheus.Query = OLD, target: JobsTarget = TARGET
) -> JobsReading:
    """The reading of one builder, with samples of ten seconds ago unless a test says otherwise."""

    def ask(text: str) -> Any:
        told = ages if text.startswith("timestamp(") else answer
        if told is None:
            told = copy.deepcopy(answer)
            for entry in told["data"]["result"]:
                entry["metric"].pop("__name__", None)
                entry["value"][1] = str(NOW - 10)
        if isinstance(told, Exception):
            raise told
        return told

    return jobs_prometheus.read_jobs(ask, query, [target])["a"]


@pytest.mark.parametrize("jobs", [0, 3])
def test_the_legacy_queue_runner_by_prometheus(jobs: int) -> None:
    assert prometheus(vector(series(9, "build@192.0.2.11"), series(jobs))) == JobsReading(jobs, "prometheus", LABEL)


def test_the_new_queue_runner_by_prometheus() -> None:
    query = jobs_prometheus.Query(*jobs_prometheus.METRICS["new"])
    assert query.metric == "hydraqueuerunner_machine_current_jobs"
    answer = vector(series(2, "builder-7", "hostname"))
    assert prometheus(answer, query=query, target=JobsTarget("a", "builder-7")).jobs == 2


NEVER_IDLE = {
    "no series at all": (vector(), None),
    "null": ({"status": "success", "data": {"resultType": "vector", "result": None}}, vector()),
    "another label": (vector(series(0, "root@192.0.2.10")), None),
    "renamed label": (vector(series(0, name="machine")), None),
    "two series": (vector(series(0, instance="x"), series(0, instance="y")), None),
    "NaN": (vector(series("NaN")), None),
    "infinite": (vector(series("+Inf")), None),
    "negative": (vector(series(-1)), None),
    "half": (vector(series("0.5")), None),
    "empty value": (vector(series("")), vector(series(NOW))),
    "stale": (vector(series(0)), vector(series(NOW - 121))),
    "age not told": (vector(series(0)), vector()),
    "error": ({"status": "error", "errorType": "bad_data", "error": "parse error"}, vector()),
    "a matrix": ({"status": "success", "data": {"resultType": "matrix", "result": []}}, vector()),
    "a list": ([], vector()),
    "a null": (0, vector()),
    "broken series": ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}, vector()),
    "down": (HttpJsonError("http://p/api/v1/query: status 503"), vector()),
    "down at the first query": (vector(series(0)), HttpJsonError("refused")),
}


@pytest.mark.parametrize(("answer", "ages"), NEVER_IDLE.values(), ids=NEVER_IDLE)
def test_what_prometheus_does_not_say_is_unknown_and_not_idle(answer: Any, ages: Any) -> None:
    reading = prometheus(answer, ages)
    assert reading.jobs is None
    assert not reading.is_idle
    assert reading.reason


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (vector(series(0, name="machine")), "no label host, but machine"),
        (vector(series(0, "root@192.0.2.10")), "there are root@192.0.2.10"),
        (vector(series(0, instance="x"), series(0, instance="y")), "prometheus_selector"),
    ],
)
def test_the_reason_says_what_is_there_instead(answer: Any, words: str) -> None:
    assert words in (prometheus(answer).reason or "")


def test_a_name_that_is_none_of_prometheus_is_refused() -> None:
    for query in (OLD._replace(metric='x{a="b"}'), OLD._replace(label="host=")):
        with pytest.raises(JobsError, match="prometheus_"):
            jobs_prometheus.checked_query(query)


def test_a_query_is_encoded_and_has_the_selector() -> None:
    text = OLD._replace(selector='job="hydra"').text
    assert text == 'hydra_machine_current_jobs{job="hydra"}'
    assert jobs_prometheus.query_url("http://p:9090/", text).endswith(
        "query?query=hydra_machine_current_jobs%7Bjob%3D%22hydra%22%7D"
    )


LEGACY = {
    "status": "up",
    "time": int(NOW),
    "machines": {
        LABEL: {
            "enabled": False,
            "systemTypes": ["x86_64-linux"],
            "nrStepsDone": 12,
            "currentJobs": 1,
            "consecutiveFailures": 0,
        }
    },
    "machineTypes": {},
}
NEW = {
    "queueRunner": {"status": "up", "uptime": 12.5},
    "machines": {"builder-7": {"hostname": "builder-7", "jobs": [], "stats": {"currentJobs": 0, "lastPing": 1}}},
}


def hydra(status: Any, label: str = LABEL) -> JobsReading:
    return jobs_hydra.read_jobs(lambda: status, [JobsTarget("a", label)])["a"]


def changed(status: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    other = copy.deepcopy(status)
    place = other
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return other


def test_both_hydras_say_how_many_jobs_a_machine_has() -> None:
    assert hydra(LEGACY) == JobsReading(1, "hydra", LABEL)
    assert hydra(changed(LEGACY, "machines", LABEL, "currentJobs", to=0)).is_idle
    assert hydra(NEW, "builder-7").is_idle
    assert hydra(changed(NEW, "machines", "builder-7", "stats", "currentJobs", to=2), "builder-7").jobs == 2
    assert hydra(changed(NEW, "machines", "builder-7", "jobs", to=[{}]), "builder-7").jobs == 1


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (None, LABEL),
        ([], LABEL),
        ({"status": "unknown"}, LABEL),
        ({"status": "unreachable"}, "builder-7"),
        ({"status": "down"}, LABEL),
        (changed(LEGACY, "status", to="down"), LABEL),
        (changed(LEGACY, "machines", to=None), LABEL),
        (changed(LEGACY, "machines", to={}), LABEL),
        (LEGACY, "root@192.0.2.10"),
        (LEGACY, None),
        (changed(LEGACY, "machines", LABEL, "currentJobs", to=None), LABEL),
        (changed(LEGACY, "machines", LABEL, "currentJobs", to="0"), LABEL),
        (changed(LEGACY, "machines", LABEL, "currentJobs", to=False), LABEL),
        (changed(LEGACY, "machines", LABEL, to=[]), LABEL),
        (changed(NEW, "machines", "builder-7", "stats", to={}), "builder-7"),
        (changed(NEW, "machines", "builder-7", "jobs", to=None), "builder-7"),
        (changed(NEW, "queueRunner", "status", to="stopping"), "builder-7"),
    ],
)
def test_what_hydra_does_not_say_is_unknown_and_not_idle(status: Any, label: Any) -> None:
    reading = hydra(status, label)
    assert reading.jobs is None
    assert reading.reason


def test_a_value_is_a_count_or_none() -> None:
    assert [count_from(value) for value in (0, 2, 3.0)] == [0, 2, 3]
    assert [count_from(value) for value in ("0", None, True, -1, 0.5, float("nan"), float("inf"), [])] == [None] * 8


def said(**fields: Any) -> ssh_facts.SshFacts:
    return ssh_facts.parsed(json.dumps(fields).encode())


def test_a_machine_says_its_builds_over_ssh() -> None:
    assert said(boot_id="b", image_id="i", jobs=2) == ssh_facts.SshFacts("b", "i", 2)
    # A connection without a build may be copying what a build needs.
    assert said(boot_id="b", image_id="i", jobs=0, sessions=1).jobs == 1
    assert said(boot_id="b", image_id="i", jobs=0, sessions=0).jobs == 0


@pytest.mark.parametrize("fields", [{}, {"jobs": None}, {"jobs": "0"}, {"jobs": 0, "sessions": None}, {"jobs": -1}])
def test_a_machine_that_does_not_know_its_builds_is_not_idle(fields: dict[str, Any]) -> None:
    answers = {"a": said(boot_id="b", **fields)}
    reading = jobs_ssh.read_jobs(lambda _targets: answers, [TARGET])["a"]
    assert reading.jobs is None
    assert "does not know" in (reading.reason or "")


@pytest.mark.parametrize("output", [b"", b"[]", b"0", b'{"jobs": 0', b'"jobs"', b"\xff", b"[" * 9999])
def test_an_answer_that_is_none_is_a_problem(output: bytes) -> None:
    answer = ssh_facts.parsed(output)
    assert answer.problem
    assert jobs_ssh.read_jobs(lambda _targets: {"a": answer}, [TARGET])["a"].jobs is None


def options(**changes: Any) -> dict[str, Any]:
    defaults = {name: spec.get("default") for name, spec in jobs_sources.SOURCE_OPTIONS.items()}
    return {**defaults, "source": "prometheus", "url": "http://127.0.0.1:9", "builders": [], **changes}


def test_two_machines_with_one_label_are_unknown() -> None:
    """As the new Hydra, which keeps its machines by hostname, would tell of one of them only."""
    builders = [{"id": "a", "label": "builder"}, {"id": "b", "label": "builder"}, {"id": "c", "label": "other"}]
    targets = jobs_sources.targets_from(options(builders=builders))
    found = jobs_prometheus.match(OLD, targets, jobs_prometheus.samples(vector(series(0, "builder"))), [])
    assert [bool(target.problem) for target in targets] == [True, True, False]
    assert found["a"].jobs is None
    assert "shares the label" in (found["a"].reason or "")
    with pytest.raises(JobsError, match="twice"):
        jobs_sources.targets_from(options(builders=[{"id": "a"}, {"id": "a"}]))


def test_a_source_that_cannot_be_reached_knows_nothing() -> None:
    for source in ("prometheus", "hydra"):
        given = options(source=source, builders=[{"id": "a", "label": "x"}])
        reading = jobs_sources.reader_from(given)(jobs_sources.targets_from(given))["a"]
        assert reading.jobs is None
        assert "127.0.0.1:9" in (reading.reason or "")


@pytest.mark.parametrize(("seconds", "known"), [(5, True), (500, False), (-500, False)])
def test_a_legacy_status_of_another_time_is_unknown(
    monkeypatch: pytest.MonkeyPatch, seconds: float, known: bool
) -> None:
    status = {**LEGACY, "time": int(time.time() - seconds)}
    monkeypatch.setattr(jobs_sources.http_json, "read_json", lambda *_asked: status)
    given = options(source="hydra", builders=[{"id": "a", "label": LABEL}])
    assert (jobs_sources.reader_from(given)(jobs_sources.targets_from(given))["a"].jobs is not None) is known
