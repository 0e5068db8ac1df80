# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab whose machines have disks, and whose image may erase some of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from demo import builders
from lab_driver import CHECKOUT, Lab

from metal_lab.backends.qemu.disks import MARK

# A lab of its own, with more packages and another kernel.
pytestmark = pytest.mark.long

# The second one is the USB disk's: no list can make it one that is erased.
RULES = ["serial=allowed", "name=sd*"]
DISKS = [{"serial": "allowed", "size_mb": 768}, {"serial": "other"}, {"serial": "usb", "bus": "usb"}]
PLANS = [
    {"slug": "c3.small.x86", "on_demand_price": 0.75, "spot_price": 0.23, "disks": DISKS},
    {"slug": "c3.medium.x86", "on_demand_price": 1.5, "disks": DISKS[1:]},
]
LISTED = (CHECKOUT / "nix/lab/disks.txt").read_text(encoding="utf-8").splitlines()
# More than the machine's memory; what the output then says is what /proc/swaps said.
SPILLING = """
derivation {
  name = "spilling";
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-euc" ''
    for path in /etc/nixmetal /root /nix/var; do
      [ ! -e $path ] || { echo "the sandbox shows $path"; exit 1; }
    done
    head -c 600000000 /dev/zero >$out
    cat /proc/swaps >swaps
    cat swaps >$out
  '' ];
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    packages = [line for line in LISTED if not line.startswith("#")]
    settings = {"lab_machine_memory_mb": 640, "lab_image_packages": packages, "lab_cloud_settings": {"plans": PLANS}}
    lab = Lab(settings)
    try:
        lab.up().succeeded()
        group = lab.inventory / "group_vars/all/netboot.yml"
        variables = yaml.safe_load(group.read_text(encoding="utf-8"))
        variables["netboot_image_settings"]["args"] |= {"disks": RULES, "eraseDisks": True}
        group.write_text(yaml.safe_dump(variables), encoding="utf-8")
        lab.play("build").succeeded()
        yield lab
    finally:
        lab.down().succeeded()


@pytest.fixture(scope="module")
def machine(lab: Lab) -> dict[str, Any]:
    lab.play("launch_spot", spot_fleet_wait=True, spot_fleet_wait_timeout=600).succeeded()
    lab.play("machines").succeeded()
    (machine,) = builders(lab.listing())
    return dict(machine)


def disk(lab: Lab, device: str, serial: str) -> Path:
    return lab.directory / "cloud/machines" / device / f"disk-{serial}.img"


def is_untouched(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(MARK)) == MARK and not stream.read().strip(b"\0")


def test_only_the_allowed_disk_is_erased_and_becomes_encrypted_swap(lab: Lab, machine: dict[str, Any]) -> None:
    console = lab.console(machine["builder_id"])
    assert (
        "choose-disks: sda: type=unknown model='QEMU HARDDISK' serial='' 256 MiB: is not known to be local (USB"
        in console
    )
    assert "serial='other' 256 MiB: is not on the allow list" in console
    assert "encrypted-swap: 1 disks" in console
    untouched = {entry["serial"]: is_untouched(disk(lab, machine["builder_id"], entry["serial"])) for entry in DISKS}
    assert untouched == {"allowed": False, "other": True, "usb": True}
    login = f"root@{machine['builder_address']}"
    swaps = lab.login("id_ed25519", login, machine["builder_host_key"], "cat /proc/swaps").stdout.splitlines()
    assert len(swaps) == 2
    assert swaps[1].startswith("/dev/mapper/nixmetal-swap-0")


def test_a_sandboxed_build_spills_to_the_disk(lab: Lab, machine: dict[str, Any]) -> None:
    command = 'cat "$(nix-build --no-out-link --max-jobs 0 -E "$(cat)")"'
    swaps = lab.coordinator(command, SPILLING).stdout.splitlines()
    used = int(swaps[1].split()[3])
    assert used > 100_000
    # Zeros were written, and none are on the disk.
    with disk(lab, machine["builder_id"], "allowed").open("rb") as stream:
        stream.seek(64 << 20)
        assert stream.read(1 << 20).count(0) < 1 << 16


def test_a_machine_without_an_allowed_disk_says_so_and_starts_over(lab: Lab, machine: dict[str, Any]) -> None:
    order = {"hostname": "none", "plan": "c3.medium.x86", "metro": "am", "operating_system": "custom_ipxe"}
    device = lab.api("/devices", {**order, "ipxe_script_url": machine["builder_boot_url"]})["id"]
    deadline = time.monotonic() + 600
    console = ""
    # It says so a second time: it did start over.
    while console.count("stage 2: the disks are not ready; starting over") < 2:
        assert time.monotonic() < deadline, console[-3000:]
        time.sleep(1)
        if (lab.directory / "cloud/machines" / device / "console.log").exists():
            console = lab.console(device)
    assert f"no disk of this machine may be erased by the allow list '{' '.join(RULES)}', after 20 seconds:" in console
    assert "serial='other' 256 MiB: is not on the allow list" in console
    assert "encrypted-swap: no disk may be erased, and none was touched" in console
    assert all(is_untouched(disk(lab, device, str(entry["serial"]))) for entry in DISKS[1:])
