# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What action plugins do between the controller and the modules that they run, with modules that answer from a script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.nixmetal.builders.plugins.action import artifact_stream, builder_jobs_wait

ANSWER = {
    "finished": False,
    "idle": [],
    "not_idle": ["a"],
    "seen": {"a": 1.0},
    "builders": {"a": {"jobs": 2, "idle": False}},
}
IDLE = {**ANSWER, "finished": True, "idle": ["a"], "not_idle": []}
BROKEN = AnsibleConnectionFailure("Connection reset")


class Shown:
    """What Ansible's display was told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def display(self, text: str) -> None:
        self.lines.append(text)


class Task:
    """A task on host web, whose modules answer in turn."""

    def __init__(
        self, plugin: Any, monkeypatch: pytest.MonkeyPatch, check_mode: bool = False, **arguments: Any
    ) -> None:
        self.shown = Shown()
        self.asked: list[dict[str, Any]] = []
        self.resets = 0
        monkeypatch.setattr(plugin, "display", self.shown)
        task = SimpleNamespace(args=arguments, check_mode=check_mode, async_val=0, delegate_to=None, diff=False)
        shell = SimpleNamespace(tmpdir="/tmp/of-the-test")
        connection = SimpleNamespace(transport="ssh", reset=self._reset, close=lambda: None, _shell=shell)
        context = SimpleNamespace(check_mode=check_mode)
        self.action = plugin.ActionModule(task, connection, context, None, None, None)

    def run(self, *answers: Any) -> dict[str, Any]:
        given = iter(answers)

        def execute(module_args: dict[str, Any], **_more: Any) -> dict[str, Any]:
            self.asked.append(module_args)
            answer = next(given)
            if isinstance(answer, BaseException):
                raise answer
            return dict(answer)

        self.action._execute_module = execute
        return dict(self.action.run(None, {"inventory_hostname": "web"}))

    def _reset(self) -> None:
        self.resets += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder_jobs_wait, "PAUSE", 0.0)


def test_a_wait_in_check_mode_is_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(builder_jobs_wait, monkeypatch, check_mode=True, timeout=0, url="http://p")
    assert task.run(ANSWER)["not_idle"] == ["a"]
    assert task.asked == [{"timeout": 0, "url": "http://p"}]


def test_a_connection_that_breaks_is_begun_anew_and_the_wait_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(builder_jobs_wait, monkeypatch, url="http://p", timeout=1000)
    result = task.run(ANSWER, BROKEN, IDLE)
    assert (result["finished"], result.get("failed"), task.resets) == (True, None, 1)
    assert task.shown.warnings == ["builder_jobs_wait: the connection broke (Connection reset); trying again"]
    assert [arguments.get("seen") for arguments in task.asked] == [None, {"a": 1.0}, {}]
    assert {arguments["url"] for arguments in task.asked} == {"http://p"}


@pytest.mark.parametrize("policy", ["fail", "proceed"])
def test_the_policy_decides_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    result = Task(builder_jobs_wait, monkeypatch, timeout=0, policy=policy).run(ANSWER)
    assert result.get("failed", False) is (policy == "fail")
    assert ("a (2 jobs)" in result.get("msg", "")) is (policy == "fail")
    assert result["not_idle"] == ["a"]


def test_what_the_module_refuses_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Task(builder_jobs_wait, monkeypatch, timeout=0).run({"failed": True, "msg": "no such option"})
    assert (result["failed"], result["msg"]) == (True, "no such option")


def test_strangers_that_came_to_a_transfer_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimpleNamespace(name="build", cleaned=0)
    source.cleanup = lambda: setattr(source, "cleaned", source.cleaned + 1)
    refused = [{"address": "192.0.2.66", "reason": "no TLS handshake in time"}]

    class Transfer:
        manifest = '{"image_id": "0-image"}'

        def __init__(self, _source: Any, _destination: Any, _options: Any, say: Any) -> None:
            say({"bytes_done": 1, "bytes_total": 2, "bytes_sent": 1, "seconds": 1.0})

        def run(self, _check_mode: bool) -> dict[str, Any]:
            return {"changed": True, "refused": refused}

    monkeypatch.setattr(artifact_stream, "Transfer", Transfer)
    monkeypatch.setattr(artifact_stream, "open_second_host", lambda *_arguments: source)
    task = Task(artifact_stream, monkeypatch, source="build", src="~/image", dest="~/web")
    monkeypatch.setattr(
        task.action, "validate_argument_spec", lambda **_spec: (None, {"source": "build", "layout": "image"})
    )
    assert task.run()["image_id"] == "0-image"
    assert task.shown.warnings == ["build -> web: refused a connection from 192.0.2.66: no TLS handshake in time"]
    assert task.shown.lines == ["build -> web: 1 B of 2 B (50 %), 1 B/s, 1 s left"]
    assert source.cleaned == 1
