# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a project, cut down to what is used: a raw answer holds fifty times as much, and the root password."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    BadAnswer,
    NotFound,
    SettingError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.paging import Reader

UNKNOWN_STATE = "unknown"
# Cut down to their hrefs, or left out, by the API itself: most of an answer, and of no use here.
EXCLUDED = (
    "created_by,facility.address,network_ports,operating_system.provisionable_on,plan.available_in,"
    "plan.available_in_metros,provisioning_events,ssh_keys,volumes"
)
# States of a machine that is gone, or on its way.
GONE_STATES = frozenset({"deprovisioning", "deleted"})

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STATE = re.compile(r"[a-z][a-z0-9_]*")
_SOS = re.compile(r"([0-9A-Za-z][0-9A-Za-z-]*@)?[0-9A-Za-z][0-9A-Za-z.-]*")
_URL = re.compile(r"https?://\S+")


def read_devices(client: Client, tag: str | None = None, workers: int = 4) -> list[dict[str, Any]]:
    """Every device of the project, or those with a tag, oldest first."""
    path = f"/projects/{client.settings.project_id}/devices"
    raw = Reader(client, workers).read(path, "devices", {"exclude": EXCLUDED, **({"tag": tag} if tag else {})})
    devices = [lean(item, client.url(path)) for item in raw]
    # The filter is asked for, and not relied upon.
    chosen = [device for device in devices if tag is None or tag in device["tags"]]
    return sorted(chosen, key=by_age)


def by_age(device: dict[str, Any]) -> tuple[str, str]:
    """What sorts machines oldest first, and those of one second alike for everyone."""
    return device["created_at"] or "", device["id"]


def read_device(client: Client, device_id: str) -> dict[str, Any] | None:
    """One device; None when there is none."""
    raw = read_raw(client, device_id)
    return None if raw is None else lean(raw, client.url(f"/devices/{device_id}"))


def known_id(device_id: str, option: str = "device_id") -> str:
    """The id, if it is one. Raises `SettingError`."""
    if not _ID.fullmatch(device_id):
        raise SettingError(f"{option} is not the id (UUID) of a device: {device_id!r}")
    return device_id


def read_raw(client: Client, device_id: str) -> dict[str, Any] | None:
    """One device with all that the API tells of it; None when there is none, or no longer."""
    path = f"/devices/{known_id(device_id)}"
    try:
        raw = client.get(path, {"exclude": EXCLUDED})
    except NotFound:
        return None
    # Whoever changes a device by what is told here would else take an empty answer for a device without tags.
    if lean(raw, client.url(path))["id"] != device_id:
        raise BadAnswer(f"{client.url(path)} answered with another device, {raw['id']}.", 200, client.url(path))
    return raw


def lean(raw: dict[str, Any], url: str = "the API") -> dict[str, Any]:
    """What is used of a device as the API gives it.

    What a decision hangs on, and every device has, must make sense: a missing state would take the machine's builds away,
    missing tags would hand builds to a machine that drains. Tags are [] where there are none, so null is no answer.
    """
    device_id = values.matching(_ID, raw.get("id"))
    if device_id is None:
        raise BadAnswer(f"{url} answered with a device that has no id.", 200, url)
    state, tags = values.text(raw.get("state")), values.only_texts(raw.get("tags"))
    _check(state is not None, "state", device_id, raw, url)
    _check(tags is not None, "tags", device_id, raw, url)
    return {
        "id": device_id,
        "short_id": values.text(raw.get("short_id")) or device_id.partition("-")[0],
        "hostname": values.text(raw.get("hostname")),
        "state": values.matching(_STATE, str(state).lower()) or UNKNOWN_STATE,
        "tags": tags,
        "plan": values.text(values.inner(raw, "plan", "slug")) or values.text(values.inner(raw, "plan", "name")),
        "metro": _code(raw.get("metro")),
        "facility": _code(raw.get("facility")),
        "operating_system": values.text(values.inner(raw, "operating_system", "slug")),
        "description": values.text(raw.get("description")),
        "always_pxe": raw.get("always_pxe") is True,
        "locked": raw.get("locked") is True,
        "ipxe_script_url": values.matching(_URL, raw.get("ipxe_script_url")),
        "created_at": values.known_time(raw.get("created_at")),
        "termination_time": _termination(raw, device_id, url),
        "spot": raw.get("spot_instance") is True or raw.get("device_type") == "spot_instance",
        "spot_price_max": values.number(raw.get("spot_price_max")),
        "sos": values.matching(_SOS, raw.get("sos")),
        "reservation_id": values.identifier(raw.get("hardware_reservation")),
        "project_id": values.identifier(raw.get("project")) or values.identifier(raw.get("project_lite")),
        "addresses": [
            _address(item, device_id, url)
            for item in values.objects(raw.get("ip_addresses"))
            if item.get("address") is not None
        ],
    }


def _check(sound: bool, field: str, device_id: str, raw: dict[str, Any], url: str) -> None:
    if not sound:
        value = raw.get(field)
        raise BadAnswer(
            f"{url} answered with a {field} that makes no sense of the device {device_id}: {value!r}.", 200, url
        )


def _termination(raw: dict[str, Any], device_id: str, url: str) -> str | None:
    """When the provider ends the machine, or null. A time that cannot be read is not taken for none."""
    told = raw.get("termination_time")
    time = values.known_time(told)
    _check(told is None or time is not None, "termination_time", device_id, raw, url)
    return time


def _code(place: Any) -> str | None:
    code = values.text(values.inner(place, "code"))
    return code.lower() if code else None


def _address(item: dict[str, Any], device_id: str, url: str) -> dict[str, Any]:
    address = ip_address(item["address"])
    _check(address is not None, "address", device_id, item, url)
    return {
        "address": address,
        "family": 6 if ":" in str(address) else 4,
        "public": item.get("public") is True,
        "management": item.get("management") is not False,
    }


def ip_address(value: Any) -> str | None:
    """An IP address in its usual form, or None. SSH would take other words for options, and a zone may hold any of them."""
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        return None


def address_of(device: dict[str, Any], kind: str) -> str | None:
    """The device's own address of a kind: public_ipv4, private_ipv4 or public_ipv6."""
    family, public = (6 if kind.endswith("ipv6") else 4), kind.startswith("public")
    fitting = [item for item in device["addresses"] if item["family"] == family and item["public"] is public]
    # Addresses that are not for management were added by the user, for services.
    fitting.sort(key=lambda item: not item["management"])
    return str(fitting[0]["address"]) if fitting else None


def console_of(device: dict[str, Any]) -> str | None:
    """Where SSH finds the machine's serial console: the host that the API names, which may hold the user already."""
    host = device["sos"] or (f"sos.{device['facility']}.packet.net" if device["facility"] else None)
    if host is None or "@" in host:
        return host
    return f"{device['id']}@{host}"
