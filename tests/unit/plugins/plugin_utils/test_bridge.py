# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joining ports of two hosts; a small program stands in for the SSH client."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.nixmetal.builders.plugins.plugin_utils.bridge import bridge, forwarding_command

CLIENT = """
import os, socket, sys, threading
port = int(sys.argv[sys.argv.index("-W") + 1].rpartition(":")[2])
try:
    there = socket.create_connection(("127.0.0.1", port))
except OSError:
    sys.exit("channel 0: open failed: administratively prohibited")
def copy(read, write, end):
    while data := read(65536):
        write(data)
    end()
threading.Thread(target=copy, args=(lambda n: os.read(0, n), there.sendall, lambda: there.shutdown(1)), daemon=True).start()
copy(there.recv, lambda data: os.write(1, data), lambda: None)
"""


class Connection:
    transport = "ssh"

    def get_option(self, name: str) -> str:
        return name

    def _build_command(self, binary: str, subsystem: str, *arguments: str) -> list[bytes]:
        return [word.encode() for word in (sys.executable, "-c", CLIENT, *arguments)]


class PasswordConnection(Connection):
    def _build_command(self, binary: str, subsystem: str, *arguments: str) -> list[bytes]:
        return [b"sshpass", b"-d5", b"ssh"]


class OtherConnection:
    transport = "docker"


class Host:
    address = "192.0.2.1"

    def __init__(self, is_local: bool = False, connection: object = None) -> None:
        self.name = "build"
        self.is_local = is_local
        self.connection = connection or Connection()


@pytest.fixture
def servers() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        first.settimeout(20)
        second.settimeout(20)
        yield first, second


@pytest.mark.parametrize("local", [(False, False), (True, False), (False, True)])
def test_bytes_pass_in_both_directions(servers, local):
    places = [(Host(is_local), server.getsockname()[1]) for is_local, server in zip(local, servers, strict=True)]
    with bridge(*places) as words:
        ours, theirs = (server.accept()[0] for server in servers)
        with ours, theirs:
            data = bytes(range(256)) * 4000
            sending = threading.Thread(target=ours.sendall, args=(data,))
            sending.start()
            received = bytearray()
            while len(received) < len(data):
                received += theirs.recv(65536)
            sending.join()
            assert received == data
            theirs.sendall(b"done")
            assert ours.recv(10) == b"done"
    assert words


def test_no_client_outlives_the_bridge(servers):
    with bridge(*((Host(), server.getsockname()[1]) for server in servers)):
        ours, theirs = (server.accept()[0] for server in servers)
    with ours, theirs:
        for end in (ours, theirs):
            end.settimeout(20)
            assert end.recv(1) == b""


def test_the_forward_leads_to_the_loopback_of_the_host_as_ansible_reaches_it():
    command = forwarding_command(Host(), 4000)
    assert command[-3:] == [b"-W", b"127.0.0.1:4000", b"host"]
    nameless = Host()
    nameless.connection.get_option = lambda _name: None
    assert forwarding_command(nameless, 4000)[-1] == b"192.0.2.1"


def test_a_way_that_is_closed_says_why(servers):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with bridge((Host(), port), (Host(), servers[1].getsockname()[1])) as words:
        theirs = servers[1].accept()[0]
        with theirs:
            assert theirs.recv(10) == b""  # the stream ends as soon as one half of the way does
        assert words() == "channel 0: open failed: administratively prohibited"


@pytest.mark.parametrize(
    ("connection", "reason"), [(PasswordConnection(), "needs a login by key"), (OtherConnection(), "build has docker")]
)
def test_connections_that_cannot_forward_are_refused(connection, reason):
    with pytest.raises(AnsibleActionFail, match=reason), bridge((Host(connection=connection), 1), (Host(), 2)):
        pass
