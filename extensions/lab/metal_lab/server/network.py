# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports and addresses of a device, for the API and for the metadata service.

They stay the same for as long as a device lives, and to make them is most of the work of listing it. So they are made once, and
shared: never change one.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

from metal_lab.core.catalogue import HREF, stable_id
from metal_lab.core.clock import to_text
from metal_lab.core.records import Device
from metal_lab.core.settings import PoolSettings, Settings

_REMEMBERED = 16384
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def ports(device: Device) -> list[dict[str, Any]]:
    """One bond over two interfaces; the virtual machine has the first."""
    return _ports(device.id, device.mac)


@functools.lru_cache(_REMEMBERED)
def _ports(device_id: str, mac: str) -> list[dict[str, Any]]:
    second = mac[:-2] + f"{int(mac[-2:], 16) ^ 1:02x}"
    bond_id = stable_id("port", device_id, "bond0")
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
    return [bond, *(_interface(device_id, *port, bond_id) for port in (("eth0", mac), ("eth1", second)))]


def _interface(device_id: str, name: str, mac: str, bond_id: str) -> dict[str, Any]:
    key = stable_id("port", device_id, name)
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


def addresses(settings: Settings, device: Device) -> list[dict[str, Any]]:
    """Address objects as the metadata service has them. Simulated machines get the usual three."""
    simulated = settings.backend == "simulated"
    return _addresses(settings.pool, device.id, device.address, to_text(device.created_at), simulated)


@functools.lru_cache(_REMEMBERED)
def _addresses(
    pool: PoolSettings, device_id: str, address: str, created_at: str | None, simulated: bool
) -> list[dict[str, Any]]:
    own = ipaddress.IPv4Interface(f"{address}/{pool.prefix_length}")
    found = [_address(device_id, own, str(pool.gateway), public=True)]
    if simulated:
        number = int(own.ip) & 0xFFFF
        inner = ipaddress.IPv4Network("172.31.0.0/16")
        outer = ipaddress.IPv6Network("2001:db8:77::/64")
        found.append(_address(device_id, _at(outer, number), str(outer[1]), public=True))
        found.append(_address(device_id, _at(inner, number), str(inner[1]), public=False))
    return [{**item, "created_at": created_at} for item in found]


def _at(block: _Network, number: int) -> _Interface:
    return ipaddress.ip_interface(f"{block[number]}/{block.prefixlen}")


def _address(device_id: str, own: _Interface, gateway: str, *, public: bool) -> dict[str, Any]:
    block = own.network
    parent = {"network": str(block.network_address), "netmask": str(block.netmask), "cidr": block.prefixlen}
    return {
        "id": stable_id("ip", device_id, str(own.ip)),
        "address_family": block.version,
        "public": public,
        "management": True,
        "enabled": True,
        **parent,
        "address": str(own.ip),
        "gateway": gateway,
        "parent_block": parent | {"href": f"{HREF}/ips/{stable_id('block', str(block))}"},
    }
