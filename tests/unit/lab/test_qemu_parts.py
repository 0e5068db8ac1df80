# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the qemu backend that need no machine."""

from __future__ import annotations

import asyncio

import pytest

from metal_lab.backends.qemu import qmp
from metal_lab.backends.qemu.acceleration import Accelerator
from metal_lab.backends.qemu.dhcp import BootWatcher, host_line, option_line
from metal_lab.backends.qemu.disks import MARK, make_disks
from metal_lab.backends.qemu.machine import Hardware, command_line
from metal_lab.backends.qemu.network import tap_name
from metal_lab.backends.qemu.processes import end_leftover
from metal_lab.core.addresses import mac_of
from metal_lab.core.records import Device
from metal_lab.core.settings import PlanSettings, QemuSettings

ID = "2f2e81e3-b600-4316-a656-3cb72d675836"
# As dnsmasq 2.90 wrote it for one iPXE boot, then for the operating system's own client.
IPXE = """\
dnsmasq-dhcp[19271]: 3137980459 vendor class: PXEClient:Arch:00000:UNDI:002001
dnsmasq-dhcp[19271]: 3137980459 user class: iPXE
dnsmasq-dhcp[19271]: 3137980459 DHCPDISCOVER(br0) 52:54:00:aa:bb:01
dnsmasq-dhcp[19271]: 3137980459 DHCPOFFER(br0) 10.99.7.101 52:54:00:aa:bb:01
dnsmasq-dhcp[19271]: 3137980459 user class: iPXE
dnsmasq-dhcp[19271]: 3137980459 DHCPREQUEST(br0) 10.99.7.101 52:54:00:aa:bb:01
dnsmasq-dhcp[19271]: 3137980459 DHCPACK(br0) 10.99.7.101 52:54:00:aa:bb:01 hydra
"""
SYSTEM = """\
dnsmasq-dhcp[19271]: 2155425055 vendor class: udhcp 1.35.0
dnsmasq-dhcp[19271]: 2155425055 DHCPDISCOVER(br0) 52:54:00:aa:bb:01
dnsmasq-dhcp[19271]: 2155425055 DHCPACK(br0) 10.99.7.101 52:54:00:aa:bb:01 hydra
"""


def device(**changes):
    values = {
        "id": ID,
        "project_id": "p",
        "hostname": "hydra",
        "plan": "c3.medium.x86",
        "metro": "am",
        "operating_system": "custom_ipxe",
        "address": "10.213.77.101",
        "mac": mac_of(ID),
        "created_at": 0.0,
        "updated_at": 0.0,
        "ipxe_script_url": "http://10.213.77.11/lab/netboot.ipxe",
    }
    return Device(**(values | changes))


def test_a_boot_is_one_acknowledged_lease_of_ipxe():
    boots = []
    watcher = BootWatcher(boots.append)
    for line in (IPXE + SYSTEM + SYSTEM).splitlines():
        watcher.read(line)
    assert boots == ["52:54:00:aa:bb:01"]
    for line in IPXE.splitlines():
        watcher.read(line)
    assert len(boots) == 2


def test_dnsmasq_is_told_address_and_script():
    tag = "d" + ID.replace("-", "")
    assert host_line(device()) == f"{mac_of(ID)},set:{tag},10.213.77.101,hydra,infinite\n"
    assert option_line(device()) == f'tag:{tag},option:bootfile-name,"http://10.213.77.11/lab/netboot.ipxe"\n'
    assert option_line(device(ipxe_script_url=None)) == ""


def test_the_command_line_names_plan_network_and_metadata():
    plan = PlanSettings(slug="c3.medium.x86", on_demand_price=1, cores=2)
    settings = QemuSettings(extra_arguments=("-s",))
    hardware = Hardware(settings, Accelerator(settings, kvm=False), "http://10.213.77.2:8080/metadata")
    words = command_line(device(), plan, hardware)
    text = " ".join(words)
    assert f"tap,id=net,ifname={tap_name(device())},script=no,downscript=no" in words
    assert f"virtio-net-pci,netdev=net,mac={mac_of(ID)}" in words
    assert "-m 768 -smp 2" in text
    assert "string=http://10.213.77.2:8080/metadata" in text
    assert words[-1] == "-s"
    assert len(tap_name(device())) <= 15


def test_disks_are_made_once_and_given_to_the_machine(tmp_path):
    disks = [{"serial": "one", "size_mb": 2}, {"serial": "two", "bus": "usb"}]
    plan = PlanSettings(slug="c3.medium.x86", on_demand_price=1, disks=disks)
    make_disks(plan, tmp_path)
    one = tmp_path / "disk-one.img"
    assert one.read_bytes() == MARK.ljust(2 << 20, b"\0")
    one.write_bytes(b"a swap")
    make_disks(plan, tmp_path)
    assert one.read_bytes() == b"a swap"
    settings = QemuSettings()
    words = " ".join(command_line(device(), plan, Hardware(settings, Accelerator(settings, kvm=False), "http://m")))
    assert "format=raw,file=disk-one.img -device virtio-blk-pci,drive=disk0,serial=one" in words
    assert "-device qemu-xhci" in words
    assert "file=disk-two.img -device usb-storage,drive=disk1,serial=two" in words


def test_two_disks_of_one_serial_are_refused():
    with pytest.raises(ValueError, match="two disks have the serial one"):
        PlanSettings(slug="c3.medium.x86", on_demand_price=1, disks=[{"serial": "one"}, {"serial": "one"}])


def test_a_pid_file_that_belongs_to_another_program_ends_nothing(tmp_path):
    pid_file = tmp_path / "qemu.pid"
    pid_file.write_text("1\n")
    end_leftover(pid_file, "never-on-a-command-line")
    assert not pid_file.exists()


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [(b'{"error": {"desc": "no such command"}}\n', "no such command"), (b"", "the connection ended")],
)
def test_a_machine_that_does_not_obey_is_told(tmp_path, reply, complaint):
    async def scene():
        async def serve(reader, writer):
            writer.write(b'{"QMP": {}}\n')
            await reader.readline()
            writer.write(b'{"timestamp": {}, "event": "RESET"}\n{"return": {}}\n')
            await reader.readline()
            writer.write(reply)
            writer.close()

        long = tmp_path / ("d" * 120)
        long.mkdir()
        server = await asyncio.start_unix_server(serve, path=None, sock=bound(long))
        async with server:
            with pytest.raises(qmp.QmpError, match=complaint):
                await qmp.execute(long / "qmp.sock", "system_reset")

    asyncio.run(scene())


def bound(directory):
    """Bind a socket whose full path is longer than a socket's name may be."""
    import os
    import socket

    listener = socket.socket(socket.AF_UNIX)
    descriptor = os.open(directory, os.O_PATH)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/qmp.sock")
    finally:
        os.close(descriptor)
    return listener
