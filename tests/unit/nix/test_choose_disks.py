# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disks an image may erase, on trees that look like /sys of machines with all kinds of disks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import LIBRARY, NAMES, run, shell

VIRTIO = "pci0000:00/0000:00:04.0/virtio1/block"
NVME = "pci0000:00/0000:01:00.0/nvme/nvme0"
SATA = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0"
SAS = "pci0000:00/0000:03:00.0/host1/port-1:0/end_device-1:0/target1:0:0/1:0:0:0"
RAID = "pci0000:00/0000:04:00.0/host2/target2:0:0/2:0:0:0"
USB = "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host3/target3:0:0/3:0:0:0"
ISCSI = "platform/host4/session1/target4:0:0/4:0:0:0"
FIBRE = "pci0000:00/0000:05:00.0/host5/rport-5:0-0/target5:0:0/5:0:0:0"
OTHER = "pci0000:00/0000:06:00.0/host6/target6:0:0/6:0:0:0"


class Machine:
    """A tree for /sys, another for /proc."""

    def __init__(self, directory: Path) -> None:
        self.sys, self.proc = directory / "sys", directory / "proc"
        (self.sys / "block").mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text("21 1 0:20 / / rw - tmpfs tmpfs rw\n")
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")
        self._minor = 0

    def disk(self, name: str, parent: str, *, block: bool = True, **attributes: str) -> Path:
        """A disk below a device: `model`, `serial` and the like stand where that kind of device has them."""
        device = self.sys / "devices" / parent
        path = device / "block" / name if block else device / name
        (path / "holders").mkdir(parents=True)
        self._minor += 16
        values = {"removable": "0", "ro": "0", "size": "2097152", "hidden": "0", "dev": f"8:{self._minor}"}
        for attribute, value in {**values, **attributes}.items():
            place = device if attribute in ("model", "device_wwid", "vpd_pg80", "transport") else path
            (place / attribute.removeprefix("device_")).write_text(f"{value}\n")
        (path / "device").symlink_to(device)
        (self.sys / "block" / name).symlink_to(path)
        return path

    def virtio(self, name: str = "vda", number: int = 1, **attributes: str) -> Path:
        return self.disk(name, f"pci0000:00/0000:00:0{number}.0/virtio{number}", **attributes)

    def partition(self, disk: Path, name: str, number: str) -> Path:
        (disk / name / "holders").mkdir(parents=True)
        (disk / name / "dev").write_text(f"{number}\n")
        return disk / name

    def environment(self, rules: str, **more: str) -> dict[str, str]:
        given = {"NIXMETAL_SYS": str(self.sys), "NIXMETAL_PROC": str(self.proc), "NIXMETAL_DISKS": rules}
        return {**given, "NIXMETAL_DISKS_TIMEOUT": "0", "NIXMETAL_DISKS_SETTLE": "0", **more}

    def choose(self, rules: str, name: str = "sh", **more: str) -> subprocess.CompletedProcess[str]:
        return run(name, "choose-disks.sh", self.environment(rules, **more))

    def chosen(self, rules: str, name: str = "sh", **more: str) -> list[str]:
        done = self.choose(rules, name, **more)
        assert (done.returncode == 0) == bool(done.stdout), done.stderr
        return done.stdout.splitlines()

    def against(self, disk: str, rules: str = "type=*") -> str:
        """Why a disk was not chosen."""
        done = self.choose(rules)
        assert f"/dev/{disk}\n" not in done.stdout
        line = next(line for line in done.stderr.splitlines() if line.startswith(f"choose-disks: {disk}: "))
        return line.partition("MiB: ")[2]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def everything(machine: Machine) -> Machine:
    """One disk of each kind, and what an operator must never lose."""
    machine.virtio("vda", serial="lab-scratch")
    machine.disk("nvme0n1", NVME, block=False, transport="pcie", model="Micron 7300 MTFD", serial="SN1", wwid="eui.1")
    machine.disk("sda", SATA, model="INTEL SSDSC2KB48", vpd_pg80="\0\200\0\013PHYF1234", device_wwid="t10.ATA 1")
    machine.disk("sdb", SAS, model="ST8000NM0185")
    machine.disk("sdc", RAID, model="PERC H730P")
    machine.disk("sdd", USB, model="Ultra Fit", removable="0")
    machine.disk("sde", ISCSI, model="VIRTUAL-DISK")
    machine.disk("sdf", FIBRE, model="LUN")
    machine.disk("sdg", OTHER, model="who knows")
    machine.disk("sr0", SATA.replace("ata1", "ata2"), removable="1")
    machine.disk("nvme1n1", "virtual/nvme-fabrics/ctl/nvme1", block=False, transport="tcp")
    machine.disk("nbd0", "virtual", size="2048")
    machine.disk("mmcblk0", "platform/mmc0/mmc0:0001")
    machine.disk("loop0", "virtual")
    for number, driver in ((2, "megaraid_sas"), (6, "ib_srp")):
        host = machine.sys / f"class/scsi_host/host{number}"
        host.mkdir(parents=True)
        (host / "proc_name").write_text(f"{driver}\n")
    return machine


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rules", "disks"),
    [
        ("type=*", ["nvme0n1", "sda", "sdb", "sdc", "vda"]),
        ("type=nvme", ["nvme0n1"]),
        ("type=sata type=sas", ["sda", "sdb"]),
        ("type=raid", ["sdc"]),
        ("model=Micron?7300*", ["nvme0n1"]),
        ("serial=PHYF1234", ["sda"]),
        ("serial=lab-scratch", ["vda"]),
        ("name=sd[ab]", ["sda", "sdb"]),
        ("path=*/0000:03:00.0/*", ["sdb"]),
        ("wwid=eui.*", ["nvme0n1"]),
        ("type=sata,model=INTEL*", ["sda"]),
        ("type=nvme,model=INTEL*", []),
        ("model=Ultra?Fit model=VIRTUAL* model=LUN name=nbd0 name=mmcblk0 name=sr0 name=loop0", []),
    ],
)
def test_the_allow_list_names_disks_and_only_local_ones_are_chosen(
    everything: Machine, rules: str, disks: list[str], name: str
) -> None:
    assert everything.chosen(rules, name) == [f"/dev/{disk}" for disk in disks]


@pytest.mark.parametrize("disk", ["sdd", "sde", "sdf", "sdg", "nvme1n1", "nbd0", "mmcblk0"])
def test_what_is_not_known_to_be_local_is_listed_with_the_reason(everything: Machine, disk: str) -> None:
    assert everything.against(disk).startswith("is not known to be local")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"removable": "1"}, "is removable"),
        ({"ro": "1"}, "is read-only"),
        ({"size": "0"}, "is empty"),
        ({"hidden": "1"}, "is one way to a multipath disk"),
    ],
)
def test_the_state_of_a_disk_counts(machine: Machine, attributes: dict[str, str], reason: str) -> None:
    machine.virtio("vda", 1, **attributes)
    machine.virtio("vdb", 2)
    assert machine.chosen("type=virtio") == ["/dev/vdb"]
    assert machine.against("vda") == reason


@pytest.mark.parametrize("use", ["mounted", "partition mounted", "swap", "held", "partition held"])
def test_a_disk_in_use_is_never_chosen(machine: Machine, use: str) -> None:
    disk = machine.virtio()
    partition = machine.partition(disk, "vda1", "253:1")
    number = (disk / "dev").read_text().strip() if use == "mounted" else "253:1"
    if "mounted" in use:
        (machine.proc / "self/mountinfo").write_text(f"22 1 {number} / /data rw - ext4 /dev/vda rw\n")
    elif use == "swap":
        (machine.proc / "swaps").write_text("Filename\n/dev/vda1 partition 1024 0 -2\n")
    else:
        ((partition if "partition" in use else disk) / "holders/dm-0").mkdir()
    assert machine.against("vda") == "is in use"


@pytest.mark.parametrize("source", ["/dev/vda", "/dev/vda1"])
def test_a_mount_with_a_number_of_its_own_is_known_by_its_source(machine: Machine, source: str) -> None:
    machine.partition(machine.virtio(), "vda1", "253:1")
    machine.virtio("vdb", 2)
    more = f"22 1 0:44 / /data rw shared:5 - btrfs {source} rw,subvol=/\n23 1 0:45 / /a\\040-\\040b rw - tmpfs /dev/vdb-not rw\n"
    (machine.proc / "self/mountinfo").write_text(more)
    assert machine.against("vda") == "is in use"
    assert machine.chosen("type=virtio") == ["/dev/vdb"]


@pytest.mark.parametrize("member", ["vda", "vda1"])
def test_each_disk_of_a_mounted_btrfs_is_in_use(machine: Machine, member: str) -> None:
    disk = machine.virtio()
    partition = machine.partition(disk, "vda1", "253:1")
    devices = machine.sys / "fs/btrfs/0f2d1d3c/devices"
    devices.mkdir(parents=True)
    (devices / member).symlink_to(partition if member == "vda1" else disk)
    machine.virtio("vdb", 2)
    assert machine.against("vda") == "is in use"
    assert machine.chosen("type=virtio") == ["/dev/vdb"]


def test_two_ways_to_one_disk_are_no_disk(machine: Machine) -> None:
    machine.disk("sda", SAS, device_wwid="naa.5000")
    machine.disk("sdb", SAS.replace("1:0", "1:1"), device_wwid="naa.5000")
    machine.disk("sdc", SAS.replace("1:0", "1:2"), device_wwid="naa.5001")
    assert machine.chosen("type=sas") == ["/dev/sdc"]
    assert "multipath" in machine.against("sda")


@pytest.mark.parametrize(("transports", "disks"), [(["pcie"], 1), (["pcie", "pcie"], 0), (["tcp"], 0)])
def test_a_drive_with_two_ports_counts_by_the_controllers_that_lead_to_it(
    machine: Machine, transports: list[str], disks: int
) -> None:
    machine.disk("nvme0n1", "virtual/nvme-subsystem/nvme-subsys0", block=False)
    for number, transport in enumerate(transports):
        controller = machine.sys / f"devices/virtual/nvme-subsystem/nvme-subsys0/nvme{number}"
        controller.mkdir()
        (controller / "transport").write_text(f"{transport}\n")
    assert len(machine.chosen("type=nvme")) == disks


COMMAS = ["type=nvme , model=X", "type=nvme, model=X", "type=nvme ,model=X", "type=nvme,,model=X", ",", ",,"]


@pytest.mark.parametrize("rules", ["", "  ", "virtio", "type=", "colour=red", "type=virtio,serial", *COMMAS])
def test_a_list_that_says_nothing_chooses_nothing(machine: Machine, rules: str) -> None:
    machine.virtio()
    done = machine.choose(rules)
    assert (done.returncode, done.stdout) == (2, "")
    assert "allow list" in done.stderr


def test_patterns_are_never_run_nor_matched_against_files(machine: Machine, tmp_path: Path) -> None:
    machine.virtio(serial="*")
    made = tmp_path / "made"
    assert machine.chosen(f"serial=$(touch${{IFS}}{made})") == []
    assert not made.exists()
    assert machine.chosen("name=?d?") == ["/dev/vda"]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_allowed_disk_it_ends_and_lists_the_hardware(machine: Machine, name: str) -> None:
    machine.disk("sdd", USB, model="Ultra Fit")
    machine.virtio("vdb", serial="precious")
    begin = time.monotonic()
    done = machine.choose("serial=lab-scratch", name, NIXMETAL_DISKS_TIMEOUT="2")
    assert 1 <= time.monotonic() - begin < 10
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        "no disk of this machine may be erased by the allow list 'serial=lab-scratch', after 2 seconds" in done.stderr
    )
    assert "sdd: type=unknown model='Ultra Fit' serial='' 1024 MiB: is not known to be local" in done.stderr
    assert "vdb: type=virtio model='' serial='precious' 1024 MiB: is not on the allow list" in done.stderr


def test_a_machine_without_disks_says_so(machine: Machine) -> None:
    done = machine.choose("type=*")
    assert done.returncode == 1
    assert "this machine has no disk at all" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_comes_late_is_waited_for_and_so_is_its_neighbour(machine: Machine, name: str) -> None:
    environment = machine.environment("type=virtio", NIXMETAL_DISKS_TIMEOUT="20", NIXMETAL_DISKS_SETTLE="2")
    waiting = subprocess.Popen(
        [*shell(name), str(LIBRARY / "choose-disks.sh")],
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)
    machine.virtio("vda", 1)
    time.sleep(1)
    machine.virtio("vdb", 2)
    assert waiting.communicate(timeout=30)[0].split() == ["/dev/vda", "/dev/vdb"]
    assert waiting.returncode == 0
