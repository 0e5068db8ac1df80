# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image that machines of the fleet build, from its expression to its release, with one of them lost on the way.

Each machine is a real Nix with a store of its own, in a mount and a process namespace; only ssh is a stand-in, which checks the keys and
the address. The machines of the lab are reached by a real one (tests/system/test_fleet_build.py).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CHECKOUT = Path(__file__).resolve().parents[4]
FACTS = json.loads((CHECKOUT / "docs/contracts/examples/builder-facts/good/own-hardware.json").read_text())
SYSTEM = "x86_64-linux"

SSH = """#!/bin/sh
# ssh [user@]host option... command: runs it where that machine's /nix is, or says what ssh would say.
echo "$*" >>{place}/asked
host= key= known=
while [ $# -gt 0 ]; do
  case "$1" in
    -i) key=$2; shift ;;
    -oUserKnownHostsFile=*) known=${{1#*=}} ;;
    -o | -F | -l | -p) shift ;;
    -*) ;;
    nix-store*) break ;;
    *) host=${{1#*@}} ;;
  esac
  shift
done
machine={place}/machines/$host
[ -d "$machine" ] || {{ echo "ssh: connect to host $host port 22: Connection refused" >&2; exit 255; }}
grep -qF "$(cat "$machine/host_key")" "$known" || {{ echo "Host key verification failed." >&2; exit 255; }}
[ "$key" = {place}/key ] || {{ echo "build@$host: Permission denied (publickey)." >&2; exit 255; }}
export NIX_CONFIG="sandbox = false
build-users-group =
substituters ="
[ "$*" = "nix-store --serve --write" ] || echo started
echo $$ >>"$machine/processes"
exec unshare --mount --pid --fork --kill-child sh -c 'mount --bind "$1" {place}/nix && shift && eval "exec $*"' - "$machine/nix" "$@"
"""

EXPRESSION = """
{ busybox, place, salt }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
in
derivation {
  name = "fleet-image";
  system = "x86_64-linux";
  builder = "${static}/busybox";
  inherit salt;
  args = [ "sh" "-euc" ''
    alias bb=${static}/busybox
    read -r name <${place}/nix/name
    echo "$name" >>${place}/begun
    while [ "$name" = 10.9.0.1 ]; do bb sleep 1; done
    bb mkdir $out
    for file in kernel initrd; do
      echo "$file $salt" >$out/$file
      size=$(bb stat -c %s $out/$file)
      sum=$(bb sha256sum <$out/$file)
      files="''${files+$files, }{\\"name\\": \\"$file\\", \\"role\\": \\"$file\\", \\"size\\": $size, \\"sha256\\": \\"''${sum%% *}\\"}"
    done
    head="\\"schema\\": 1, \\"image_id\\": \\"''${out##*/}\\", \\"system\\": \\"x86_64-linux\\", \\"kernel_params\\": []"
    echo "{$head, \\"files\\": [$files]}" >$out/manifest.json
  '' ];
}
"""

PLAYS = [
    {"hosts": hosts, "gather_facts": False, "any_errors_fatal": True, "tasks": [task]}
    for hosts, step in (
        ("localhost", "settings"),
        ("netboot_image_evaluation", "evaluate"),
        ("netboot_image_build", "realise"),
        ("netboot_hosts", "publish"),
    )
    for task in [{"import_role": {"name": "nixmetal.builders.netboot_image", "tasks_from": step}}]
]


class Fleet:
    """A build host that is a web host too, and its machines."""

    def __init__(self, nix: RealNix, place: Path) -> None:
        self._nix = nix
        self.place = place
        self.hosts: dict[str, dict[str, Any]] = {}

    def machine(self, address: str, **facts: Any) -> None:
        """A machine by its address, and what else the inventory knows of it."""
        own = self.place / "machines" / address
        (own / "nix").mkdir(parents=True)
        (own / "nix/name").write_text(f"{address}\n")
        (own / "host_key").write_text(f"ssh-ed25519 AAAA{address.replace('.', 'x')}")
        known = {
            "builder_id": address,
            "builder_address": address,
            "builder_systems": [SYSTEM],
            "builder_draining": False,
        }
        key = {"builder_host_key": (own / "host_key").read_text()}
        self.hosts[address] = {**FACTS, **known, **key, **facts}

    def lose(self, address: str) -> None:
        """End all that the machine does; whoever asks again finds nothing."""
        own = self.place / "machines" / address
        own.rename(own.with_name("lost"))
        for pid in (self.place / "machines/lost/processes").read_text().split():
            with contextlib.suppress(ProcessLookupError):  # a connection that was ended before
                os.kill(int(pid), signal.SIGKILL)

    def play(self, **settings: Any) -> subprocess.Popen[str]:
        """The steps of build.yml that belong to the image."""
        args = {"busybox": self._nix.busybox, "place": str(self.place), "salt": "1"}
        image = {"channel": "fleet", "source": str(self.place / "source"), "file": "default.nix", "args": args}
        given = {
            "netboot_image_settings": image,
            "netboot_channels": [{"name": "fleet", "base_url": "http://web.example.org"}],
            "netboot_server_root": str(self.place / "web"),
            "netboot_image_work_directory": str(self.place / "work"),
            "netboot_image_gc_root_directory": str(self.place / "nix/state/gcroots/nixmetal"),
            "netboot_image_nix_options": {
                "sandbox": False, "build-users-group": "", "substituters": [], **self._nix.settings,
            },
            "netboot_image_fleet_system": SYSTEM,
            "netboot_image_fleet_ssh_key": str(self.place / "key"),
            **settings,
        }  # fmt: skip
        (self.place / "plays.json").write_text(json.dumps(PLAYS))
        (self.place / "hosts.json").write_text(json.dumps(self._inventory()))
        arguments = ["-i", str(self.place / "hosts.json"), str(self.place / "plays.json"), "-e", json.dumps(given)]
        with (self.place / "output").open("w") as output:
            return subprocess.Popen(
                [str(CHECKOUT / ".venv/bin/ansible-playbook"), *arguments],
                cwd=CHECKOUT, env=self._environment(), stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return " ".join((self.place / "output").read_text().split())

    @property
    def begun(self) -> list[str]:
        begun = self.place / "begun"
        return begun.read_text().split() if begun.exists() else []

    def _inventory(self) -> dict[str, Any]:
        read_at = datetime.datetime.now(datetime.UTC).isoformat()
        reading = {"complete": True, "source": "test", "project": None, "count": len(self.hosts), "read_at": read_at}
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {group: {"hosts": {"here": here}} for group in ("nix_build_hosts", "netboot_hosts")}
        return {
            "all": {"vars": {"builders_reading": reading}, "children": {**groups, "builders": {"hosts": self.hosts}}}
        }

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self._nix.environment,
            "PATH": f"{self.place / 'bin'}:{self._nix.environment['PATH']}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.place / "ansible"),
        }


@pytest.fixture
def fleet(real_nix: RealNix, tmp_path: Path) -> Iterator[Fleet]:
    if os.geteuid() != 0:
        pytest.skip("only root can give each machine of the fleet a /nix of its own")
    fleet = Fleet(real_nix, tmp_path)
    for name in ("bin", "nix", "source", "web"):
        (tmp_path / name).mkdir()
    (tmp_path / "source/default.nix").write_text(EXPRESSION)
    (tmp_path / "bin/ssh").write_text(SSH.format(place=tmp_path))
    (tmp_path / "bin/ssh").chmod(0o755)
    (tmp_path / "key").touch()
    fleet.machine("10.9.0.1", builder_speed_factor=10.0)  # the fastest is taken first, and does not come to an end
    fleet.machine("10.9.0.2")
    fleet.machine("10.9.0.3", builder_speed_factor=20.0, builder_draining=True)
    fleet.machine("10.9.0.4", builder_speed_factor=20.0, builder_host_key=None)
    fleet.machine("10.9.0.5", builder_speed_factor=20.0, builder_systems=["aarch64-linux"])
    yield fleet
    if (tmp_path / "machines/10.9.0.1/processes").exists():
        fleet.lose("10.9.0.1")


def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.mark.long
def test_another_machine_takes_over_from_one_that_vanishes(fleet: Fleet) -> None:
    running = fleet.play()
    until(lambda: bool(fleet.begun), lambda: fleet.output)
    fleet.lose("10.9.0.1")
    assert running.wait(240) == 0, fleet.output
    assert fleet.begun == ["10.9.0.1", "10.9.0.2"]
    assert "lets these machines of the fleet build: build@10.9.0.1, build@10.9.0.2'" in fleet.output
    assert "FAILED - RETRYING" in fleet.output
    release = fleet.place / "web/fleet"
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["image_id"].endswith("-fleet-image")
    for file in manifest["files"]:
        blob = fleet.place / "web/blobs/sha256" / file["sha256"]
        assert blob.read_text() == f"{file['name']} 1\n"
        assert f"/sha256/{file['sha256']}" in (release / "netboot.ipxe").read_text()


@pytest.mark.long
def test_nobody_is_asked_who_may_not_build(fleet: Fleet) -> None:
    del fleet.hosts["10.9.0.1"], fleet.hosts["10.9.0.2"]
    assert fleet.play().wait(180) != 0
    said = fleet.output
    assert f"No machine of the fleet can build {SYSTEM} now: of 3 that were read" in said
    assert "10.9.0.3: " in said
    assert "10.9.0.4: " in said
    assert not (fleet.place / "asked").exists()
    assert not (fleet.place / "web/fleet").exists()
