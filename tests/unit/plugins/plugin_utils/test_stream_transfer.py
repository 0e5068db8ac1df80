# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of a transfer, with hosts that answer from a script."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.nixmetal.builders.plugins.plugin_utils import stream_transfer
from ansible_collections.nixmetal.builders.plugins.plugin_utils.stream_transfer import Transfer

PLAN = {
    "files_lacking_count": 1, "files_lacking": ["kernel"], "files_total": 2, "bytes_total": 30, "bytes_lacking": 10,
    "bytes_resumable": 4, "changed": False, "port": 4000, "addresses": ["10.0.0.2"],
}  # fmt: skip
OUTCOME = {
    "changed": True,
    "bytes_sent": 6,
    "bytes_resumed": 4,
    "files_sent": 1,
    "seconds": 2.0,
    "tls": {},
    "refused": [],
}
OPTIONS = {
    "src": "/src", "dest": "/dest", "layout": "image", "listen": "destination", "via": "direct", "address": None, "ports": "0",
    "connect_timeout": 30.0, "silence_timeout": 60.0, "timeout": 7200.0, "bandwidth_limit": 0, "connections": 0,
}  # fmt: skip
ENDED = {"finished": True, "outcome": OUTCOME}


class FakeSide:
    """A host that answers each step from a list, and remembers what it was asked."""

    def __init__(self, name: str, address: str, is_local: bool = False, **answers: Any) -> None:
        self.name = name
        self.address = address
        self.is_local = is_local
        self._answers = {step: list(given) if isinstance(given, list) else [given] for step, given in answers.items()}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.within: list[tuple[str, float]] = []
        self.resets = 0

    def run(self, module: str, within: float, **arguments: Any) -> dict[str, Any]:
        assert len(self.asked) < 100, "it never gives up"
        operation = arguments["operation"]
        self.within.append((operation, within))
        self.asked.append((operation, arguments))
        given = self._answers.get(operation, [{"finished": True, "outcome": {}}])
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    def reset(self) -> None:
        self.resets += 1

    @property
    def steps(self) -> list[str]:
        return [operation for operation, _arguments in self.asked]


def source_host(**answers: Any) -> FakeSide:
    prepared = {"manifest": "{}", "files_total": 2, "bytes_total": 30}
    return FakeSide("build", "192.0.2.1", **{"prepare": prepared, "connect": {}, "listen": PLAN, **answers})


def web_host(**answers: Any) -> FakeSide:
    return FakeSide("web", "192.0.2.2", **{"listen": PLAN, "plan": PLAN, "connect": {}, "wait": ENDED, **answers})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_transfer, "PAUSE", 0.0)


def run(source: FakeSide, destination: FakeSide, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    said: list[Any] = []
    result = Transfer(source, destination, {**OPTIONS, **options}, said.append).run(check_mode)  # type: ignore[arg-type]
    return {**result, "said": said}


def test_the_destination_listens_and_the_source_comes():
    source, destination = source_host(), web_host()
    result = run(source, destination)
    assert source.steps == ["prepare", "connect"]
    assert destination.steps == ["listen", "wait"]
    connect = source.asked[1][1]
    assert connect["peers"] == ["192.0.2.2", "10.0.0.2"]
    assert connect["port"] == 4000
    assert destination.asked[0][1]["peers"] == ["192.0.2.1"]
    assert result["changed"] is True
    assert (result["bytes_sent"], result["bytes_resumed"], result["bytes_skipped"]) == (6, 4, 20)
    assert (result["files_sent"], result["files_skipped"], result["rate"]) == (1, 1, 3)
    assert result["bytes_to_send"] == 0


def test_a_step_has_the_time_that_it_may_take():
    """Those that read files as long as the transfer, the others what they wait for and the start of a module on a busy host."""
    source, destination = source_host(), web_host()
    run(source, destination)
    assert source.within == [("prepare", 7200.0), ("connect", 45.0 + 30.0)]
    assert destination.within == [("listen", 7200.0), ("wait", 45.0 + 2.0)]
    destination = web_host()
    run(source_host(), destination, listen="source")
    assert destination.within[:2] == [("plan", 7200.0), ("connect", 45.0 + 30.0)]


def test_nobody_can_guess_what_lets_a_side_in():
    sources = [source_host(), source_host()]
    for source in sources:
        run(source, web_host())
    assert len({source.asked[1][1]["token"] for source in sources}) == 2
    assert len({source.asked[1][1]["transfer"] for source in sources}) == 2


def test_what_took_no_time_has_no_rate():
    assert run(source_host(), web_host(wait={"finished": True, "outcome": {**OUTCOME, "seconds": 0.0}}))["rate"] == 0


def test_two_hosts_of_one_address_meet_on_the_loopback_too():
    source = source_host()
    source.address = "192.0.2.2"
    run(source, web_host())
    assert source.asked[1][1]["peers"] == ["127.0.0.1", "192.0.2.2", "10.0.0.2"]


def test_a_name_that_the_controller_does_not_know_is_no_hint(monkeypatch):
    def unknown(*_arguments: Any, **_more: Any) -> Any:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(stream_transfer.socket, "getaddrinfo", unknown)
    destination = web_host()
    assert run(source_host(), destination)["changed"] is True
    assert destination.asked[0][1]["peers"] == []


def test_the_source_listens_and_the_destination_comes():
    refused = [{"address": "192.0.2.66", "reason": "no TLS handshake in time"}]
    source = source_host(wait={"finished": True, "outcome": {"refused": refused}})
    destination = web_host()
    result = run(source, destination, listen="source")
    assert destination.steps == ["plan", "connect", "wait"]
    assert source.steps == ["prepare", "listen", "wait"]
    assert destination.asked[1][1]["peers"] == ["192.0.2.1", "10.0.0.2"]
    assert result["refused"] == refused


def test_each_side_gets_its_own_key_and_the_other_certificate():
    source, destination = source_host(), web_host()
    run(source, destination)
    ours, theirs = source.asked[1][1], destination.asked[0][1]
    assert ours["private_key"] != theirs["private_key"]
    assert ours["peer_certificate"] == theirs["certificate"]
    assert theirs["peer_certificate"] == ours["certificate"]
    assert "private_key" not in source.asked[0][1]


def test_when_nothing_lacks_nobody_connects():
    source = source_host()
    destination = web_host(listen={**PLAN, "files_lacking_count": 0, "bytes_lacking": 0, "bytes_resumable": 0})
    result = run(source, destination)
    assert source.steps == ["prepare"]
    assert result["changed"] is False
    assert result["bytes_skipped"] == 30


def test_check_mode_says_what_would_travel():
    source, destination = source_host(), web_host(listen={**PLAN, "changed": True})
    result = run(source, destination, check_mode=True)
    assert source.steps == ["prepare"]
    assert result["changed"] is True
    assert (result["bytes_to_send"], result["bytes_sent"]) == (6, 0)


def test_a_named_address_is_the_only_one_tried():
    source, destination = source_host(), web_host()
    run(source, destination, address="198.51.100.7")
    assert source.asked[1][1]["peers"] == ["198.51.100.7"]
    assert destination.asked[0][1]["address"] == "198.51.100.7"


@pytest.mark.parametrize(
    ("source_local", "destination_local", "peers"),
    [(True, True, ["127.0.0.1", "10.0.0.2"]), (False, True, ["10.0.0.2"]), (True, False, ["192.0.2.2", "10.0.0.2"])],
)
def test_addresses_of_local_connections(source_local, destination_local, peers):
    source, destination = source_host(), web_host()
    source.is_local, destination.is_local = source_local, destination_local
    run(source, destination)
    assert source.asked[1][1]["peers"] == peers


def test_progress_is_told():
    progress = {"finished": False, "progress": {"bytes_done": 3}}
    result = run(source_host(), web_host(wait=[progress, progress, ENDED]))
    assert result["said"] == [{"bytes_done": 3}, {"bytes_done": 3}]


def test_looks_come_more_rarely_but_often_enough_for_a_line():
    progress = {"finished": False, "progress": {"bytes_done": 3}}
    destination = web_host(wait=[*[progress] * 6, ENDED])
    run(source_host(), destination)
    waits = [arguments["seconds"] for operation, arguments in destination.asked if operation == "wait"]
    assert waits == [2.0, 3.0, 4.5, 6.75, 10.0, 10.0, 10.0]


def test_a_connection_that_breaks_while_waiting_is_taken_up_again():
    destination = web_host(wait=[AnsibleConnectionFailure("gone"), ENDED])
    assert run(source_host(), destination)["changed"] is True
    assert destination.resets == 1


def test_a_connection_that_stays_broken_is_given_up():
    destination = web_host(wait=AnsibleConnectionFailure("gone"))
    with pytest.raises(AnsibleConnectionFailure):
        run(source_host(), destination, silence_timeout=0.0)


def test_silence_is_counted_from_the_last_answer(monkeypatch):
    """Else the first break of a long transfer would end it."""
    now = [0.0]
    monkeypatch.setattr(stream_transfer.time, "monotonic", lambda: now[0])

    class Slow(FakeSide):
        def run(self, module: str, within: float, **arguments: Any) -> dict[str, Any]:
            now[0] += 50 if arguments["operation"] == "wait" else 0
            return super().run(module, within, **arguments)

    progress = {"finished": False, "progress": {"bytes_done": 3}}
    answers = [progress, progress, AnsibleConnectionFailure("gone"), ENDED]
    destination = Slow("web", "192.0.2.2", listen=PLAN, wait=answers)
    assert run(source_host(), destination, silence_timeout=60.0)["changed"] is True


def test_an_unreachable_source_does_not_make_the_destination_unreachable():
    with pytest.raises(AnsibleActionFail, match="build: the source host is unreachable: no route"):
        run(source_host(prepare=AnsibleConnectionFailure("no route")), web_host())


def test_a_failed_step_names_its_host_and_ends_what_was_begun():
    source, destination = source_host(connect={"failed": True, "msg": "port 4000 was not reached"}), web_host()
    with pytest.raises(AnsibleActionFail, match="build: port 4000 was not reached"):
        run(source, destination)
    assert destination.steps == ["listen", "stop"]
    assert source.steps == ["prepare", "connect", "stop"]
    assert (source.resets, destination.resets) == (1, 1)  # the connection may be what broke


def test_hosts_that_cannot_be_told_to_stop_do_not_hide_why_it_failed():
    gone = AnsibleConnectionFailure("gone")
    source = source_host(connect={"failed": True, "msg": "port 4000 was not reached"}, stop=gone)
    destination = web_host(stop=gone)
    with pytest.raises(AnsibleActionFail, match="build: port 4000 was not reached"):
        run(source, destination)
    assert (source.steps[-1], destination.steps[-1]) == ("stop", "stop")


def test_a_plan_that_fails_before_anybody_listens_needs_no_stop():
    source, destination = source_host(), web_host(plan={"failed": True, "msg": "no room"})
    with pytest.raises(AnsibleActionFail, match="web: no room"):
        run(source, destination, listen="source")
    assert (source.steps, destination.steps) == (["prepare"], ["plan"])


def test_a_failure_of_the_plan_needs_no_stop():
    source = source_host(prepare={"failed": True, "msg": "no manifest"})
    destination = web_host()
    with pytest.raises(AnsibleActionFail, match="build: no manifest"):
        run(source, destination)
    assert destination.steps == []


def test_an_interrupt_ends_both_sides():
    source, destination = source_host(), web_host(wait=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(source, destination)
    assert source.steps[-1] == "stop"
    assert destination.steps[-1] == "stop"


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        ("disk error", "web: closed the connection. build says: disk error"),
        ("the other side gave up: closed the connection", "web: closed the connection$"),
    ],
)
def test_what_the_sender_knows_is_told_too(sender, text):
    failed = {"finished": True, "outcome": {"failed": True, "msg": "closed the connection"}}
    source = source_host(stop={"finished": True, "outcome": {"failed": True, "msg": sender}})
    with pytest.raises(AnsibleActionFail, match=text):
        run(source, web_host(wait=failed))


def test_through_the_controller_both_listen_on_their_loopback(monkeypatch):
    joined: list[Any] = []

    @contextlib.contextmanager
    def bridge(*places: Any) -> Iterator[Any]:
        joined.extend(places)
        yield lambda: "open failed"

    monkeypatch.setattr(stream_transfer, "bridge", bridge)
    source, destination = source_host(listen={"port": 5000, "addresses": []}), web_host()
    assert run(source, destination, via="controller")["changed"] is True
    assert source.steps == ["prepare", "listen", "wait"]  # it waits for being asked: nothing may stay behind
    assert destination.steps == ["listen", "wait"]
    assert joined == [(source, 5000), (destination, 4000)]
    assert source.asked[1][1]["tls_client"] is True
    assert source.asked[1][1]["address"] == "127.0.0.1"
    failed = {"finished": True, "outcome": {"failed": True, "msg": "the other side did not come"}}
    with pytest.raises(AnsibleActionFail, match=r"did not come\. SSH through the controller says: open failed"):
        run(source_host(), web_host(wait=failed), via="controller")


def test_through_the_controller_is_the_direct_way_when_both_are_the_controller():
    source, destination = source_host(), web_host()
    source.is_local = destination.is_local = True
    run(source, destination, via="controller")
    assert source.steps == ["prepare", "connect"]


@pytest.mark.parametrize(
    ("options", "handed"),
    [({}, 0), ({"connections": 3}, 3), ({"bandwidth_limit": 9}, 1), ({"bandwidth_limit": 9, "connections": 2}, 2)],
)
def test_a_bandwidth_limit_needs_no_second_connection(options, handed):
    source, destination = source_host(), web_host()
    run(source, destination, **options)
    assert {arguments["connections"] for _operation, arguments in source.asked + destination.asked} == {handed}
