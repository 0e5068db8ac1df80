# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both sides as the processes that they are: started by one program, waited for by another, killed in the middle.

NIXMETAL_TEST_PYTHONS may name two interpreters, joined by a colon: that of the sender and that of the receiver.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import background, session
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress

# Bytes a second: an image takes 48 seconds, so that on a busy machine too it is under way when a test has looked at it.
SLOWLY = 1_000_000
CHECKOUT = Path(__file__).resolve().parents[5]
PROGRAM = """
import json, sys
sys.path.insert(0, {collections!r})
from ansible_collections.nixmetal.builders.plugins.module_utils.stream import session, {side}_side
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
params = json.load(sys.stdin)
session.LINGER_MARGIN = 0.5
try:
    print(json.dumps({side}_side.run(params{more})))
except StreamError as error:
    print(json.dumps({{"failed": True, "msg": str(error)}}))
"""
PYTHONS = (os.environ.get("NIXMETAL_TEST_PYTHONS") or f"{sys.executable}:{sys.executable}").split(":")


@dataclasses.dataclass
class Hosts:
    """Runs steps of one transfer as a controller would."""

    keys: Any
    src: Path
    dest: Path
    layout: str = "image"
    limit: int = 0
    connections: int = 0
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    transfer: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    token: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    manifest: str = ""

    def run(self, side: str, operation: str, **more: Any) -> dict[str, Any]:
        """One step on one side."""
        own, other = (
            (self.keys.sender, self.keys.receiver) if side == "send" else (self.keys.receiver, self.keys.sender)
        )
        params = {
            "operation": operation, "layout": self.layout, "src": str(self.src), "dest": str(self.dest),
            "manifest": self.manifest, "transfer": self.transfer, "token": self.token,
            "certificate": own.certificate, "private_key": own.private_key, "peer_certificate": other.certificate,
            "peers": ["127.0.0.1"], "port": None, "tls_client": False, "address": "127.0.0.1", "ports": "0",
            "connections": self.connections, "bandwidth_limit": self.limit,
            "connect_timeout": 10.0, "silence_timeout": 10.0, "timeout": 60.0, "seconds": 30.0, **self.times, **more,
        }  # fmt: skip
        program = PROGRAM.format(
            collections=str(CHECKOUT / ".collections"), side=side, more=", False" if side == "receive" else ""
        )
        python = PYTHONS[0] if side == "send" else PYTHONS[-1]
        done = subprocess.run(
            [python, "-c", program], input=json.dumps(params), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        return dict(json.loads(done.stdout))

    def begin(self, listening: str = "receive") -> tuple[dict[str, Any], dict[str, Any]]:
        """Both sides at work; what each said first."""
        self.manifest = self.run("send", "prepare")["manifest"]
        connecting = "send" if listening == "receive" else "receive"
        first = self.run(listening, "listen")
        second = self.run(connecting, "connect", port=first["port"])
        return (second, first) if listening == "receive" else (first, second)

    def outcome(self, side: str = "receive") -> dict[str, Any]:
        """How it ended."""
        answer = self.run(side, "wait")
        assert answer["finished"]
        return dict(answer["outcome"])

    def again(self, **changes: Any) -> Hosts:
        """A new transfer of the same directory."""
        return dataclasses.replace(self, transfer=secrets.token_hex(8), token=secrets.token_hex(8), limit=0, **changes)

    def wait_for_bytes(self, count: int) -> None:
        """Until so much has arrived."""
        until = time.monotonic() + 30
        while self.run("receive", "wait", seconds=0.0)["progress"]["bytes_done"] < count:
            assert time.monotonic() < until


@pytest.fixture
def hosts(keys, make_image, noise, tmp_path) -> Hosts:
    return Hosts(keys, make_image({"kernel": noise(100_000), "initrd-00": noise(48_000_000)}), tmp_path / "web")


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                time.sleep(0.02)
                continue
        return True
    return False


@pytest.mark.parametrize("listening", ["receive", "send"])
def test_either_side_can_listen(hosts, listening):
    sending, receiving = hosts.begin(listening)
    found = hosts.outcome()
    assert found["changed"] is True
    assert found["bytes_sent"] == 48_100_000
    assert found["tls"]["version"] == "TLSv1.3"
    assert gone(receiving["pid"])
    if listening == "send":
        assert hosts.outcome("send")["refused"] == []
    assert gone(sending["pid"])
    again = hosts.again()
    again.manifest = hosts.manifest
    second = again.run("receive", "listen")
    assert second["files_lacking_count"] == 0
    assert second["changed"] is False


@pytest.mark.parametrize(("victim", "connections"), [("send", 1), ("receive", 1), ("send", 4)])
def test_a_killed_side_leaves_what_the_next_run_goes_on_with(hosts, victim, connections):
    hosts.limit, hosts.connections = 6_000_000, connections
    sending, receiving = hosts.begin()
    hosts.wait_for_bytes(20_000_000)
    os.kill((sending if victim == "send" else receiving)["pid"], signal.SIGKILL)
    if victim == "send":
        assert "closed the connection" in hosts.outcome()["msg"]
    else:
        assert "is gone" in hosts.run("receive", "wait")["msg"]
        assert "connection" in hosts.outcome("send")["msg"]
    assert gone(sending["pid"])
    assert gone(receiving["pid"])
    assert not (hosts.dest / ".state" / "staging").exists()
    again = hosts.again()
    again.begin()
    found = again.outcome()
    assert found["bytes_resumed"] >= 16_000_000
    assert found["bytes_sent"] + found["bytes_resumed"] in (48_000_000, 48_100_000)
    assert os.listdir(hosts.dest / ".state" / "parts") == []


@pytest.mark.parametrize("connections", [-1, 17])
def test_a_number_of_connections_that_cannot_be_is_refused(hosts, connections):
    hosts.connections = connections
    hosts.manifest = hosts.run("send", "prepare")["manifest"]
    for side, operation in (("receive", "listen"), ("send", "connect")):
        assert f"connections: {connections} is not within 0-16" in hosts.run(side, operation, port=9)["msg"]


def test_a_transfer_is_stopped_from_outside(hosts):
    hosts.limit = SLOWLY
    sending, receiving = hosts.begin()
    hosts.wait_for_bytes(1)
    answer = hosts.run("receive", "stop", seconds=10.0)
    assert answer["outcome"]["msg"] == "the transfer was stopped by the controller"
    assert gone(receiving["pid"])
    hosts.run("send", "stop", seconds=10.0)
    assert gone(sending["pid"])


def test_only_who_has_the_token_may_ask(hosts):
    hosts.limit = SLOWLY
    sending, receiving = hosts.begin()
    honest, hosts.token = hosts.token, "guessed"
    assert "is gone" in hosts.run("receive", "stop")["msg"]
    hosts.token = honest
    hosts.run("receive", "stop", seconds=10.0)
    hosts.run("send", "stop", seconds=10.0)
    assert gone(sending["pid"])
    assert gone(receiving["pid"])


def test_a_side_whose_peer_and_controller_never_come_ends_by_itself(hosts):
    hosts.times = {"connect_timeout": 0.3, "silence_timeout": 0.3}
    hosts.manifest = hosts.run("send", "prepare")["manifest"]
    assert gone(hosts.run("receive", "listen")["pid"])


@pytest.mark.parametrize(("connect_timeout", "silence_timeout"), [(30.0, 60.0), (60.0, 30.0)])
def test_the_outcome_waits_longer_than_the_controller_may_be_away(keys, monkeypatch, connect_timeout, silence_timeout):
    started = []
    monkeypatch.setattr(session.background, "start", lambda settings, *rest, **more: started.append(settings))
    params = {
        "certificate": keys.receiver.certificate, "private_key": keys.receiver.private_key,
        "peer_certificate": keys.sender.certificate, "transfer": "t", "token": "t", "timeout": 600.0, "peers": [],
        "port": 1, "connections": 0, "connect_timeout": connect_timeout, "silence_timeout": silence_timeout, "operation": "connect",
    }  # fmt: skip
    session.Session("receiver", params).connect(lambda channel, progress: {})
    assert started[0].linger == 90.0


def test_a_transfer_that_takes_too_long_ends_by_itself(hosts):
    hosts.limit, hosts.times = SLOWLY, {"timeout": 4.0, "connect_timeout": 20.0}
    sending, receiving = hosts.begin()
    assert "took longer than the 4 seconds allowed" in hosts.outcome()["msg"]
    assert gone(receiving["pid"])
    hosts.run("send", "stop", seconds=10.0)
    assert gone(sending["pid"])


def test_a_process_that_no_longer_looks_at_its_deadline_is_ended_all_the_same(monkeypatch):
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.2)

    def body(report, stopped):
        report({})
        threading.Event().wait()

    settings = background.Settings(secrets.token_hex(8), "token", 0.1, 0.1, True)
    pid = background.start(settings, Progress(), body, patience=10)["pid"]
    try:
        assert gone(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_strangers_are_refused_and_reported_and_end_nothing(hosts):
    hosts.manifest = hosts.run("send", "prepare")["manifest"]
    listening = hosts.run("receive", "listen")
    for _number in range(3):
        with socket.create_connection(("127.0.0.1", listening["port"]), timeout=10) as stranger:
            stranger.sendall(b"SSH-2.0-scanner\r\n" * 50)
            with contextlib.suppress(OSError):
                stranger.recv(100)
    hosts.run("send", "connect", port=listening["port"])
    found = hosts.outcome()
    assert found["changed"] is True
    assert found["refused_count"] == 3
    assert {item["address"] for item in found["refused"]} == {"127.0.0.1"}


def test_a_side_that_finds_nobody_says_so_at_once(hosts):
    hosts.times = {"connect_timeout": 0.3}
    hosts.manifest = hosts.run("send", "prepare")["manifest"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = hosts.run("send", "connect", port=port)
    assert f"port {port} of the other side was not reached within 0.3 seconds" in answer["msg"]


def test_ports_that_are_none_are_refused(hosts):
    hosts.manifest = hosts.run("send", "prepare")["manifest"]
    assert "ports: 'x' is neither a port" in hosts.run("receive", "listen", ports="x")["msg"]


@pytest.mark.parametrize("ports", ["x", "5-4", "70000", "65536", "0-10", "-1"])
def test_ports_beyond_what_there_is(ports):
    with pytest.raises(StreamError, match=f"ports: '{ports}'"):
        session.parse_ports(ports)


@pytest.mark.parametrize(("ports", "range_"), [("0", (0, 0)), ("65535", (65535, 65535)), ("1-65535", (1, 65535))])
def test_every_port_that_there_is_may_be_named(ports, range_):
    assert session.parse_ports(ports) == range_


def test_two_transfers_to_one_store_at_once(hosts):
    # Slow enough to be under way still when the second begins on a busy machine.
    hosts.limit = 4_000_000
    other = hosts.again()
    hosts.begin()
    hosts.wait_for_bytes(1_000_000)
    other.begin()
    assert other.outcome()["changed"] is True
    assert hosts.outcome()["changed"] is True
    assert os.listdir(hosts.dest / ".state" / "parts") == []


def test_a_directory_travels_too(hosts, tmp_path):
    tree = hosts.again(layout="directory", dest=tmp_path / "mirror")
    tree.begin()
    assert tree.outcome()["files_sent"] == 3
    assert sorted(os.listdir(tmp_path / "mirror")) == ["initrd-00", "kernel", "manifest.json"]


@pytest.mark.parametrize("connections", [1, 16])
def test_memory_stays_flat(hosts, connections):
    hosts.limit, hosts.connections = 5_000_000, connections
    begun = hosts.begin()
    hosts.wait_for_bytes(20_000_000)
    for answer in begun:
        status = Path(f"/proc/{answer['pid']}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0])
        assert peak < 64 * 1024
    for side in ("receive", "send"):
        hosts.run(side, "stop", seconds=10.0)
