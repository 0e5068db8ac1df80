# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports and addresses of a device, for the API and for the metadata service."""

from __future__ import annotations

import ipaddress
from typing import Any

from metal_lab.core.catalogue import HREF, stable_id
from metal_lab.core.clock import to_text
from metal_lab.core.records import Device
from metal_lab.core.settings import Settings


def ports(device: Device) -> list[dict[str, Any]]:
    """One bond over two interfaces; the virtual machine has the first."""
    second = device.mac[:-2] + f"{int(device.mac[-2:], 16) ^ 1:02x}"
    bond_id = stable_id("port", device.id, "bond0")
    bond: dict[str, Any] = {
        "id": bond_id,
        "href": f"{HREF}/ports/{bond_id}",
        "type": "NetworkBondPort",
        "name": "bond0",
        "data": {"bonded": True},
        "network_type": "layer3",
        "native_virtual_network": None,
        "virtual_networks": [],
        "disbond_operation_supported": True,
        "bond": None,
    }
    return [bond, *(_interface(device, name, mac, bond_id) for name, mac in (("eth0", device.mac), ("eth1", second)))]


def _interface(device: Device, name: str, mac: str, bond_id: str) -> dict[str, Any]:
    key = stable_id("port", device.id, name)
    return {
        "id": key,
        "href": f"{HREF}/ports/{key}",
        "type": "NetworkPort",
        "name": name,
        "data": {"mac": mac, "bonded": True},
        "network_type": None,
        "native_virtual_network": None,
        "virtual_networks": [],
        "disbond_operation_supported": True,
        "bond": {"id": bond_id, "name": "bond0"},
    }


def _address(
    device: Device,
    address: str,
    block: ipaddress.IPv4Network | ipaddress.IPv6Network,
    gateway: str,
    *,
    public: bool,
) -> dict[str, Any]:
    parent = {"network": str(block.network_address), "netmask": str(block.netmask), "cidr": block.prefixlen}
    return {
        "id": stable_id("ip", device.id, address),
        "address_family": block.version,
        "netmask": str(block.netmask),
        "created_at": to_text(device.created_at),
        "public": public,
        "cidr": block.prefixlen,
        "management": True,
        "enabled": True,
        "network": str(block.network_address),
        "address": address,
        "gateway": gateway,
        "parent_block": parent | {"href": f"{HREF}/ips/{stable_id('block', str(block))}"},
    }


def addresses(settings: Settings, device: Device) -> list[dict[str, Any]]:
    """Address objects as the metadata service has them. Simulated machines get the usual three."""
    pool = settings.pool
    block = ipaddress.IPv4Network(f"{device.address}/{pool.prefix_length}", strict=False)
    found = [_address(device, device.address, block, str(pool.gateway), public=True)]
    if settings.backend == "simulated":
        number = int(ipaddress.IPv4Address(device.address)) & 0xFFFF
        inner = ipaddress.IPv4Network("172.31.0.0/16")
        outer = ipaddress.IPv6Network("2001:db8:77::/64")
        found.append(_address(device, str(outer[number]), outer, str(outer[1]), public=True))
        found.append(_address(device, str(inner[number]), inner, str(inner[1]), public=False))
    return found
