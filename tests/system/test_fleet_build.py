# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""build.yml with the fleet as builders: a real machine builds the image, and another one when it falls silent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_driver import Lab, Played

pytestmark = pytest.mark.long

CHANNEL = "built-on-the-fleet"
EXPRESSION = """
{ busybox, salt }:
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
    bb sleep 40
    bb mkdir $out
    read -r boot_id </proc/sys/kernel/random/boot_id
    for file in kernel initrd; do
      echo "$boot_id" >$out/$file
      size=$(bb stat -c %s $out/$file)
      sum=$(bb sha256sum <$out/$file)
      files="''${files+$files, }{\\"name\\": \\"$file\\", \\"role\\": \\"$file\\", \\"size\\": $size, \\"sha256\\": \\"''${sum%% *}\\"}"
    done
    head="\\"schema\\": 1, \\"image_id\\": \\"''${out##*/}\\", \\"system\\": \\"x86_64-linux\\", \\"kernel_params\\": []"
    echo "{$head, \\"files\\": [$files]}" >$out/manifest.json
  '' ];
}
"""


def settings(lab: Lab, source: Path) -> dict[str, Any]:
    """The coordinator is the build host: it has the key that the machines know."""
    args = {"busybox": "/usr/bin/busybox", "salt": str(time.time_ns())}
    return {
        "netboot_image_settings": {"channel": CHANNEL, "source": str(source), "file": "default.nix", "args": args},
        "netboot_channels": [{"name": CHANNEL, "base_url": lab.web}],
        "netboot_image_build_host": "lab-coordinator",
        "netboot_image_evaluation_host": "lab-coordinator",
        "netboot_image_fleet_system": "x86_64-linux",
        "netboot_image_progress": 2,
    }


@pytest.fixture
def wanted(lab: Lab, machines: list[dict[str, Any]], tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "default.nix").write_text(EXPRESSION)
    yield settings(lab, tmp_path)
    lab.web_host(f"rm -rf /srv/netboot/{CHANNEL} /srv/netboot/releases/{CHANNEL}")


def jobs(lab: Lab, machine: dict[str, Any]) -> int:
    """Builds that run there now, as the machine says."""
    login = f"build@{machine['builder_address']}"
    return int(json.loads(lab.login("facts_ed25519", login, machine["builder_host_key"], "facts").stdout)["jobs"])


def building(lab: Lab, machines: list[dict[str, Any]]) -> dict[str, Any]:
    """The machine that builds."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        for machine in machines:
            if jobs(lab, machine):
                return machine
        time.sleep(0.5)
    raise AssertionError("no machine began to build")


@contextlib.contextmanager
def silent(lab: Lab, machine: dict[str, Any]) -> Iterator[None]:
    """A machine that answers nothing any more: no closed connection tells that it is gone."""
    pid = int(lab.control("GET", f"/machines/{machine['builder_id']}")["machine"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_image_is_built_by_another_machine_when_the_first_falls_silent(
    lab: Lab, wanted: dict[str, Any], machines: list[dict[str, Any]]
) -> None:
    ran: list[Played] = []
    playing = threading.Thread(target=lambda: ran.append(lab.play("build", **wanted)))
    playing.start()
    first = building(lab, machines)
    [second] = [machine for machine in machines if machine is not first]
    with silent(lab, first):
        playing.join(400)
        assert not playing.is_alive()
    run = ran[0].succeeded()
    assert "FAILED - RETRYING" in run.output
    manifest = json.loads(lab.web_host(f"cat /srv/netboot/{CHANNEL}/manifest.json").stdout)
    for file in manifest["files"]:
        # What it wrote into its files is the boot id of the machine that built them.
        blob = lab.web_host(f"cat /srv/netboot/blobs/sha256/{file['sha256']}").stdout
        assert blob.strip() == second["builder_boot_id"]
    lab.play("build", **wanted).changed_nothing()
