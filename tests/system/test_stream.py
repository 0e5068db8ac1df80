# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream between two hosts as a playbook asks for it: real SSH, other users, other Pythons, and the ways it may go wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_driver import Lab
from stream_driver import PASSWORD, Streams, digest, noise, until

SIZE = 48_000_000
SLOWLY = 8_000_000  # bytes per second: long enough under way to be disturbed
PYTHONS = ("3.9", "3.13")


@pytest.fixture(scope="module")
def streams(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """The lab's hosts, with an image on the build host and users who are not root."""
    made = Streams(lab, tmp_path_factory.mktemp("streams"))
    for name in ("build", "web"):
        made.run(
            name,
            "useradd --create-home --shell /bin/sh carrier && cp -r /root/.ssh ~carrier && chown -R carrier ~carrier",
        )
        made.run(name, "chpasswd", f"root:{PASSWORD}\n")
    made.image({"kernel": noise(100_000), "initrd-00": noise(SIZE - 100_000, 5)})
    return made


@pytest.fixture
def dest(streams: Streams, request: pytest.FixtureRequest) -> str:
    return f"/srv/{request.node.name.partition('[')[0][5:45]}-{streams.count}"


def whole(streams: Streams, dest: str, image: str = "image") -> bool:
    """Whether the store holds every file of the image, right to the last byte, and no part of one."""
    document = json.loads((streams.root("build") / "srv" / image / "manifest.json").read_text())
    held = streams.blobs(dest)
    assert all(digest(content) == name for name, content in held.items())
    return {file["sha256"] for file in document["files"]} <= set(held) and streams.arrived(dest) == 0


def pythons() -> list[Path]:
    """The oldest Python that is supported and the newest, where a version manager has them."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [sorted(versions.glob(f"{version}.*")) for version in PYTHONS]
    if not all(found):
        pytest.skip(f"no Python {' and '.join(PYTHONS)} below {versions}")
    return [paths[-1] for paths in found]


@pytest.fixture(scope="module")
def interpreters(streams: Streams) -> list[str]:
    """Programs of the two Pythons on both hosts, the older first. They stand where they stand here: paths are built in."""
    programs = []
    for version, folder in zip(PYTHONS, pythons(), strict=True):
        programs.append(str(folder / f"bin/python{version}"))
        left_out = shutil.ignore_patterns("test", "*.a", "__pycache__", "share", "site-packages")
        for name in ("build", "web"):
            shutil.copytree(folder, streams.root(name) / str(folder)[1:], symlinks=True, ignore=left_out)
            assert streams.run(name, f"{programs[-1]} -c 'import ssl, sys; print(sys.version)'").startswith(version)
    return programs


def test_users_who_are_not_root_one_of_whom_becomes_it(streams: Streams, dest: str) -> None:
    build = {"ansible_user": "carrier"}
    become = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_password": PASSWORD}
    before = streams.lab.carried_bytes()
    found = streams.start(build, {"ansible_user": "carrier", **become}, dest=dest).succeeded()
    assert streams.lab.carried_bytes() - before < 2_000_000
    assert found["bytes_sent"] == SIZE
    assert found["tls"]["version"] == "TLSv1.3"
    assert whole(streams, dest)
    assert (streams.root("web") / dest[1:]).stat().st_uid == 0
    assert streams.processes("build") == streams.processes("web") == []


def test_nothing_travels_twice(streams: Streams, dest: str) -> None:
    streams.start(dest=dest).succeeded()
    controller, build, web = streams.lab.carried_bytes(), streams.link_bytes("build"), streams.link_bytes("web")
    again = streams.start(dest=dest).succeeded()
    assert again["changed"] is False
    assert again["bytes_skipped"] == SIZE
    # Each host's whole traffic was with the controller: from host to host nothing went at all.
    hosts = streams.link_bytes("build") - build + streams.link_bytes("web") - web
    assert hosts <= streams.lab.carried_bytes() - controller + 2_000


@pytest.mark.parametrize("newer", [pytest.param("sends", marks=pytest.mark.long), "receives"])
def test_the_oldest_python_and_the_newest(streams: Streams, interpreters: list[str], dest: str, newer: str) -> None:
    programs = reversed(interpreters) if newer == "sends" else interpreters
    build, web = ({"ansible_python_interpreter": program} for program in programs)
    assert streams.start(build, web, dest=dest).succeeded()["bytes_sent"] == SIZE
    assert whole(streams, dest)


def test_the_source_listens_on_a_port_of_a_range(streams: Streams, dest: str) -> None:
    streams.run("build", "nohup python3 -m http.server 40000 >/dev/null 2>&1 & sleep 1")  # the first one is taken
    found = streams.start(dest=dest, listen="source", ports="40000-40001").succeeded()
    assert found["bytes_sent"] == SIZE
    assert whole(streams, dest)


def test_the_way_through_the_controller(streams: Streams, dest: str) -> None:
    before = streams.lab.carried_bytes()
    assert streams.start(dest=dest, via="controller").succeeded()["bytes_sent"] == SIZE
    assert streams.lab.carried_bytes() - before > 2 * SIZE
    assert streams.processes("build") == streams.processes("web") == []
    assert whole(streams, dest)


LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@pytest.mark.parametrize("listen", [pytest.param("destination", marks=pytest.mark.long), "source"])
def test_the_controller_is_one_of_the_two(streams: Streams, tmp_path: Path, dest: str, listen: str) -> None:
    image = str(streams.lab.directory / "roots/build/srv/image")
    assert streams.start(LOCAL, src=image, dest=dest, listen=listen).succeeded()["bytes_sent"] == SIZE
    assert whole(streams, dest)
    back = streams.start(None, LOCAL, dest=str(tmp_path / "store"), listen=listen).succeeded()
    assert back["bytes_sent"] == SIZE


@pytest.fixture
def six(streams: Streams) -> Iterator[dict[str, str]]:
    """IPv6 addresses of the hosts, one of which the controller has too."""
    interface = streams.lab.interface.name
    places = {"build": "fd00:6e6d::10", "web": "fd00:6e6d::11"}
    subprocess.run(["ip", "address", "add", "fd00:6e6d::1/64", "dev", interface, "nodad"], check=True)
    for name, address in places.items():
        streams.run(name, f"ip address add {address}/64 dev eth0 nodad")
    yield places
    subprocess.run(["ip", "address", "del", "fd00:6e6d::1/64", "dev", interface], check=True)
    for name, address in places.items():
        streams.run(name, f"ip address del {address}/64 dev eth0")


def test_ipv6(streams: Streams, six: dict[str, str], dest: str) -> None:
    build, web = ({"ansible_host": six[name]} for name in ("build", "web"))
    run = streams.start(build, web, dest=dest, bandwidth_limit=4 * SLOWLY)
    streams.wait_until_arrived(dest, 1, run)
    peers = streams.run("web", "ss -tnH state established")
    assert six["build"] in peers
    assert run.succeeded()["bytes_sent"] == SIZE


STRANGER = """
import socket, ssl, sys, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain("/root/stranger.pem")
end, seen = time.monotonic() + 60, 0
while time.monotonic() < end and not seen:
    try:
        raw = socket.create_connection((sys.argv[1], 40100), timeout=5)
    except OSError:
        time.sleep(0.02)
        continue
    seen += 1
    try:
        secured = context.wrap_socket(raw)
        print(secured.version(), flush=True)
        secured.sendall(b"x" * 100000)
        print(secured.recv(100))
    except OSError as problem:
        print(problem, flush=True)
"""


def test_a_host_with_another_certificate_is_refused_and_disturbs_nothing(streams: Streams, dest: str) -> None:
    from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import make_key_pair

    streams.run("coord", "umask 077; cat > /root/stranger.pem", "".join(make_key_pair("stranger", 1)))
    streams.run("coord", "cat > /root/stranger.py", STRANGER)
    web = streams.lab.address(11)
    streams.run("coord", f"nohup python3 /root/stranger.py {web} > /root/stranger.log 2>&1 & true")
    run = streams.start(dest=dest, ports="40100")
    found = run.succeeded()
    assert found["bytes_sent"] == SIZE
    assert found["tls"]["version"] == "TLSv1.3"
    (refused,) = found["refused"]
    assert refused["address"] == streams.lab.address(12)
    assert "TLS handshake failed" in refused["reason"]
    assert f"refused a connection from {refused['address']}" in " ".join(run.output.split())
    assert streams.run("coord", "cat /root/stranger.log").startswith("TLSv1.3\n")


def test_three_thousand_small_files(streams: Streams, dest: str) -> None:
    folder = streams.root("build") / "srv/small"
    for number in range(3000):
        path = folder / f"{number % 30:02d}" / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(number, number))
    found = streams.start(src="/srv/small", dest=dest, layout="directory").succeeded()
    assert found["files_sent"] == 3000
    there = streams.root("web") / dest[1:]
    assert {path.relative_to(there): path.read_bytes() for path in there.rglob("file-*")} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("file-*")
    }


def test_two_transfers_to_one_host_at_once(streams: Streams, dest: str) -> None:
    streams.image({"kernel": noise(100_000), "initrd-00": noise(SIZE, 6)}, "other")
    first = streams.start(dest=dest, bandwidth_limit=SLOWLY, silence_timeout=300)
    streams.wait_until_arrived(dest, 1, first)
    with streams.stopped("build"):
        held = streams.arrived(dest)
        beside = streams.start(src="/srv/other", dest=dest, bandwidth_limit=2 * SLOWLY)
        streams.wait_until_arrived(dest, held + 10_000_000, beside)  # more than was under way
    second = beside.succeeded()
    assert second["bytes_sent"] + second["bytes_skipped"] == SIZE + 100_000
    assert first.succeeded()["changed"] is True
    assert whole(streams, dest)
    assert whole(streams, dest, "other")


CASES = [
    pytest.param("build", 4_000_000, marks=pytest.mark.long),
    pytest.param("web", 4_000_000, marks=pytest.mark.long),
    pytest.param("controller", 4_000_000, marks=pytest.mark.long),
    pytest.param("build", 30_000_000, marks=pytest.mark.long),
    pytest.param("controller", 30_000_000, marks=pytest.mark.long),
    ("web", 30_000_000),
]


@pytest.mark.parametrize(("victim", "after"), CASES)
def test_whoever_is_killed_the_next_run_goes_on(streams: Streams, dest: str, victim: str, after: int) -> None:
    run = streams.start(dest=dest, bandwidth_limit=SLOWLY // 2, silence_timeout=5, connect_timeout=20)
    streams.wait_until_arrived(dest, after, run)
    if victim == "controller":
        os.killpg(run.process.pid, 9)  # the workers too, in one moment
        run.process.wait()
        # Nobody asks for the outcome, and the two processes do what they were told to do.
        until(lambda: streams.arrived(dest) == 0)
        assert whole(streams, dest)
        again = streams.start(dest=dest).succeeded()
        assert again["bytes_sent"] == 0
        return
    streams.kill(victim)
    run.refused("closed the connection" if victim == "build" else "gone")
    assert not (streams.root("web") / dest[1:] / ".state/staging").exists()
    left = streams.arrived(dest)
    again = streams.start(dest=dest).succeeded()
    assert again["bytes_resumed"] >= left - (4 << 20)
    assert again["bytes_sent"] + again["bytes_resumed"] + again["bytes_skipped"] == SIZE
    assert whole(streams, dest)


def test_a_link_that_is_cut_and_restored_costs_nothing(streams: Streams, dest: str) -> None:
    run = streams.start(dest=dest, bandwidth_limit=SLOWLY)
    streams.wait_until_arrived(dest, 8_000_000, run)
    with streams.link_cut("build"):
        time.sleep(3)  # as long as the cable is out
    assert run.succeeded()["bytes_sent"] == SIZE
    assert whole(streams, dest)


@pytest.mark.long
def test_a_link_that_stays_cut_is_given_up_and_the_next_run_goes_on(streams: Streams, dest: str) -> None:
    run = streams.start(dest=dest, bandwidth_limit=SLOWLY, silence_timeout=3, connect_timeout=10)
    streams.wait_until_arrived(dest, 16_000_000, run)
    with streams.link_cut("build"):
        run.refused("nothing was heard from the other side for 3 seconds")
    again = streams.start(dest=dest).succeeded()
    assert again["bytes_resumed"] >= 8_000_000
    assert whole(streams, dest)


@pytest.fixture
def small_disk(streams: Streams, dest: str) -> Iterator[Any]:
    def mount(megabytes: int) -> None:
        streams.run("web", f"mkdir -p {dest} && mount -t tmpfs -o size={megabytes}m small {dest}")

    yield mount
    streams.run("web", f"umount {dest}")


@pytest.mark.long
def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(
    streams: Streams, dest: str, small_disk: Any
) -> None:
    small_disk(30)
    streams.start(dest=dest).refused("free. Free some, remove old releases")
    assert streams.arrived(dest) == 0


def test_a_disk_that_fills_up_on_the_way(streams: Streams, dest: str, small_disk: Any) -> None:
    small_disk(60)
    run = streams.start(dest=dest, bandwidth_limit=SLOWLY)
    streams.wait_until_arrived(dest, 12_000_000, run)
    streams.run("web", f"head -c 30000000 /dev/zero > {dest}/filler", check=False)
    run.refused("No space left on device. What arrived is kept")
    streams.run("web", f"rm {dest}/filler")
    again = streams.start(dest=dest).succeeded()
    assert again["bytes_resumed"] >= 12_000_000
    assert whole(streams, dest)


@pytest.mark.long
def test_a_gigabyte_passes_the_controller_by(streams: Streams, dest: str) -> None:
    streams.run("build", "mkdir -p /srv/large")
    folder = streams.root("build") / "srv/large"
    block = noise(100_000_000)
    with (folder / "data").open("wb") as stream:
        for number in range(11):
            stream.write(number.to_bytes(8, "big") + block)
    before = streams.lab.carried_bytes()
    found = streams.start(src="/srv/large", dest=dest, layout="directory").succeeded()
    assert found["bytes_sent"] == 1_100_000_088
    assert streams.lab.carried_bytes() - before < 2_000_000
    for name in ("build", "web"):
        streams.run(name, f"rm -rf /srv/large {dest}")
