# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A declared bid: checked before anything is sent, and turned into what the API is asked for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import ownership, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import INSTANCE_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError

MOST_DEVICES = 1000
# A ceiling is often a product, such as 3 * 0.35, which is a little less than 1.05. This is far less than a cent.
CENT_PART = 1e-6
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_INDEX = "{{index}}"
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IPXE_SCRIPT = re.compile(r"#!i?pxe", re.IGNORECASE)
IPXE = "custom_ipxe"


@dataclasses.dataclass(frozen=True)
class Bid:
    """What a fleet wants to buy. Prices are USD per hour and machine, in whole cents, as the market has them."""

    fleet: str
    name: str
    plan: str
    metro: str
    max_bid_price: float
    devices_min: int
    devices_max: int
    instance: Mapping[str, Any]

    @property
    def end_at(self) -> str:
        return values.stamp(ownership.end_of(self.fleet, self.name))

    @property
    def most_usd_per_hour(self) -> float:
        return round(self.max_bid_price * self.devices_max, 2)

    def terms(self) -> dict[str, Any]:
        """What the API gives back of a live request, and so what can be compared."""
        return {
            "plan": self.plan,
            "metro": self.metro,
            "max_bid_price": self.max_bid_price,
            "devices_min": self.devices_min,
            "devices_max": self.devices_max,
        }

    def body(self) -> dict[str, Any]:
        """The body of the call that makes the request."""
        instance = {name: value for name, value in self.instance.items() if value is not None}
        instance["plan"] = self.plan
        instance["tags"] = [*(self.instance.get("tags") or []), *ownership.marks(self.fleet, self.name)]
        return {
            "devices_min": self.devices_min,
            "devices_max": self.devices_max,
            "max_bid_price": self.max_bid_price,
            "metro": self.metro,
            "end_at": self.end_at,
            "instance_parameters": instance,
        }


def check_name(value: Any, option: str) -> str:
    """A fleet's or bid's name, or the reason why it is none."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise SettingError(
            f"{option} must be 1 to 63 lower-case letters, digits and inner hyphens, because it becomes a tag: {value!r}."
        )
    return value


def bid_from_options(options: Mapping[str, Any]) -> Bid:
    """The bid that a module's options declare."""
    devices_max = count(options, "devices_max", None)
    bid = Bid(
        fleet=check_name(options.get("fleet"), "fleet"),
        name=check_name(options.get("name"), "name"),
        plan=needed(options, "plan").lower(),
        metro=needed(options, "metro").lower(),
        max_bid_price=price(options.get("max_bid_price")),
        devices_min=count(options, "devices_min", devices_max),
        devices_max=devices_max,
        instance={name: options.get(name) for name in INSTANCE_OPTIONS if name != "plan"},
    )
    if bid.devices_min > bid.devices_max:
        raise SettingError(f"devices_min is {bid.devices_min}, more than devices_max, which is {bid.devices_max}.")
    _check_ceiling(bid, options.get("cost_ceiling_usd_per_hour"))
    check_instance(bid.instance)
    _check_hostnames(bid)
    return bid


def check_instance(instance: Mapping[str, Any]) -> None:
    """What is checked of every machine, however it is bought."""
    _check_boot(instance)
    _check_hostname(instance.get("hostname") or "name")
    _check_tags(instance.get("tags") or [])
    _check_termination(instance)


def needed(options: Mapping[str, Any], name: str) -> str:
    value = values.text(options.get(name))
    if value is None:
        raise SettingError(f"{name} is needed with state=present.")
    return value


def price(value: Any, option: str = "max_bid_price") -> float:
    """USD per hour and machine, in whole cents."""
    number = values.number(value)
    if number is None or number <= 0:
        raise SettingError(
            f"{option} must be more than 0 USD per hour and machine, not {value}. "
            "Nothing is bought without a limit on what it may cost."
        )
    if abs(number - round(number, 2)) > 1e-9:
        raise SettingError(f"{option} must be in whole cents, because the market rounds to them, not {value}.")
    return round(number, 2)


def count(options: Mapping[str, Any], name: str, default: int | None) -> int:
    value = options.get(name)
    number = default if value is None else values.integer(value)
    if number is None or not 1 <= number <= MOST_DEVICES:
        raise SettingError(f"{name} must be a number of machines from 1 to {MOST_DEVICES}, not {value}.")
    return number


def _check_ceiling(bid: Bid, ceiling: Any) -> None:
    if ceiling is not None and bid.most_usd_per_hour > float(ceiling) + CENT_PART:
        raise SettingError(
            f"The bid {bid.name} may cost {bid.most_usd_per_hour:.2f} USD per hour ({bid.devices_max} machines at "
            f"{bid.max_bid_price:.2f}), more than cost_ceiling_usd_per_hour, which is {float(ceiling):.2f}."
        )


def _check_boot(instance: Mapping[str, Any]) -> None:
    """What Terraform's provider checked of iPXE, and that the URL is one."""
    url, system = values.text(instance.get("ipxe_script_url")), instance.get("operating_system")
    userdata = values.text(instance.get("userdata")) or ""
    if system == IPXE and url is None and not userdata:
        raise SettingError(
            "ipxe_script_url is needed with the operating system custom_ipxe: without it, no machine boots."
        )
    if url is None:
        return
    # An operating system may be named by its id, which does not tell what it is.
    if system != IPXE and not _ID.fullmatch(str(system)):
        raise SettingError(f"ipxe_script_url is given, but the operating system is {system} and not custom_ipxe.")
    if _IPXE_SCRIPT.match(userdata):
        raise SettingError("userdata is an iPXE script, and ipxe_script_url is given as well: leave out one of them.")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise SettingError(f"ipxe_script_url is not an http or https URL: {url}")


def _check_hostnames(bid: Bid) -> None:
    hostnames = bid.instance.get("hostnames") or []
    for hostname in hostnames:
        _check_hostname(hostname)
    if hostnames and len(hostnames) < bid.devices_max:
        raise SettingError(f"hostnames has {len(hostnames)} names for devices_max={bid.devices_max} machines.")


def _check_hostname(hostname: str) -> None:
    if not _HOSTNAME.fullmatch(hostname.replace(_INDEX, "0")):
        raise SettingError(f"A hostname holds letters, digits, hyphens and dots, and no underscore: {hostname}")


def _check_termination(instance: Mapping[str, Any]) -> None:
    told = instance.get("termination_time")
    if told is not None and values.moment(told) is None:
        raise SettingError(f"termination_time is not an RFC 3339 time such as 2027-01-31T12:00:00Z: {told!r}")


def _check_tags(tags: list[str]) -> None:
    for tag in tags:
        if tag.startswith(ownership.PREFIXES):
            raise SettingError(f"The tag '{tag}' is set by this module itself, from fleet and name.")
