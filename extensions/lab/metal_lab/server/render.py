# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as the API's JSON objects, with the fields and nulls that production sent."""

from __future__ import annotations

import re
from typing import Any

from metal_lab.core.catalogue import HREF, stable_id
from metal_lab.core.clock import to_text
from metal_lab.core.cloud import Cloud
from metal_lab.core.devices import ACTIONS
from metal_lab.core.records import Device, Event, Reservation, SpotRequest, SshKey
from metal_lab.server.network import addresses, ports

_HREF = re.compile(rf"^(?:{HREF})?/(?P<kind>[a-z/-]+)/(?P<id>[0-9a-f-]+)$")


class Renderer:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._user_id = stable_id("user")
        self._organization_id = stable_id("organization")

    # -- who and where ---------------------------------------------------------------------------

    def user(self) -> dict[str, Any]:
        return {
            "id": self._user_id,
            "short_id": self._user_id.split("-", maxsplit=1)[0],
            "href": f"{HREF}/users/{self._user_id}",
            "first_name": "Lab",
            "last_name": "Operator",
            "full_name": "Lab Operator",
            "email": "operator@lab.invalid",
            "avatar_thumb_url": None,
            "created_at": "2023-01-01T00:00:00Z",
            "updated_at": "2023-01-01T00:00:00Z",
        }

    def organization(self) -> dict[str, Any]:
        return {
            "id": self._organization_id,
            "href": f"{HREF}/organizations/{self._organization_id}",
            "name": "Lab",
            "description": None,
            "website": None,
            "twitter": None,
            "created_at": "2023-01-01T00:00:00Z",
            "updated_at": "2023-01-01T00:00:00Z",
            "projects": [{"href": self.project_href()}],
            "members": [{"href": f"{HREF}/users/{self._user_id}"}],
        }

    def project_href(self) -> str:
        return f"{HREF}/projects/{self._cloud.settings.project_id}"

    def project(self) -> dict[str, Any]:
        settings = self._cloud.settings
        devices = self._cloud.devices.of_project(settings.project_id)
        return {
            "id": settings.project_id,
            "href": self.project_href(),
            "name": settings.project_name,
            "created_at": "2023-01-01T00:00:00Z",
            "updated_at": "2023-01-01T00:00:00Z",
            "customdata": {},
            "max_devices": {},
            "network_status": {},
            "tags": [],
            "type": "default",
            "backend_transfer_enabled": False,
            "bgp_config": None,
            "organization": {"href": f"{HREF}/organizations/{self._organization_id}"},
            "payment_method": None,
            "members": [{"href": f"{HREF}/users/{self._user_id}"}],
            "memberships": [],
            "invitations": [],
            "devices": [{"href": device_href(device)} for device in devices],
            "ssh_keys": [],
            "volumes": [],
        }

    def ssh_key(self, key: SshKey) -> dict[str, Any]:
        return {
            "id": key.id,
            "href": f"{HREF}/ssh-keys/{key.id}",
            "label": key.label,
            "key": key.key,
            "fingerprint": None,
            "created_at": to_text(key.created_at),
            "updated_at": to_text(key.created_at),
            "entity": {"href": self.project_href() if key.project_id else f"{HREF}/users/{self._user_id}"},
            "tags": [],
        }

    # -- devices ---------------------------------------------------------------------------------

    def device(self, device: Device) -> dict[str, Any]:
        catalogue = self._cloud.catalogue
        metro = catalogue.metro_settings[device.metro]
        facility = catalogue.facilities[metro.facility]
        return {
            "id": device.id,
            "short_id": device.short_id,
            "href": device_href(device),
            "hostname": device.hostname,
            "description": device.description,
            "state": device.state,
            "tags": list(device.tags),
            "device_type": "spot_instance" if device.spot_instance else "on_demand",
            "spot_instance": device.spot_instance,
            "spot_price_max": device.spot_price_max,
            "termination_time": to_text(device.termination_time),
            "created_at": to_text(device.created_at),
            "updated_at": to_text(device.updated_at),
            "created_by": self.user(),
            "user": "root",
            "root_password": None,
            "billing_cycle": device.billing_cycle,
            "locked": device.locked,
            "network_frozen": device.network_frozen,
            "firmware_set_id": device.firmware_set_id,
            "bonding_mode": 5,
            "always_pxe": device.always_pxe,
            "ipxe_script_url": device.ipxe_script_url,
            "userdata": device.userdata or "",
            "customdata": device.customdata,
            "image_url": None,
            "iqn": f"iqn.2026-01.lab:device.{device.short_id}",
            "switch_uuid": stable_id("switch", metro.facility)[:8],
            "sos": f"{device.id}@sos.{metro.facility}.platformequinix.com",
            "actions": [{"type": name, "name": name} for name, states in ACTIONS.items() if device.state in states],
            "plan": catalogue.plans[device.plan],
            "facility": facility,
            "metro": catalogue.metros[device.metro],
            "operating_system": catalogue.operating_systems[device.operating_system],
            "project": {"href": self.project_href()},
            "project_lite": {"href": self.project_href()},
            "hardware_reservation": _reservation_href(device.hardware_reservation_id),
            "ssh_keys": [],
            "volumes": [],
            "storage": None,
            "network_ports": ports(device),
            "ip_addresses": [self._assignment(device, address) for address in addresses(self._cloud.settings, device)],
            "provisioning_percentage": _percentage(device),
            "provisioning_events": [
                self.event(event)
                for event in self._cloud.store.events_of(device.id)
                if event.type.startswith("provisioning.")
            ][-8:],
        }

    def _assignment(self, device: Device, address: dict[str, Any]) -> dict[str, Any]:
        return address | {
            "href": f"{HREF}/ips/{address['id']}",
            "assigned_to": {"href": device_href(device)},
            "manageable": True,
            "global_ip": None,
            "metro": self._cloud.catalogue.metros[device.metro],
        }

    def reservation(self, item: Reservation) -> dict[str, Any]:
        catalogue, reservations = self._cloud.catalogue, self._cloud.reservations
        facility = catalogue.metro_settings[item.metro].facility
        device = reservations.device_on(item)
        return {
            "id": item.id,
            "short_id": item.id.split("-", maxsplit=1)[0],
            "href": f"{HREF}/hardware-reservations/{item.id}",
            "created_at": to_text(item.created_at),
            "custom_rate": 1050.5,
            "device": {"href": device_href(device)} if device else None,
            "facility": catalogue.facilities[facility],
            "need_of_service": item.need_of_service,
            "plan": catalogue.plans[item.plan],
            "project": {"href": self.project_href()},
            "provisionable": reservations.provisionable(item),
            "spare": item.spare,
            "switch_uuid": stable_id("switch", facility)[:8],
            "termination_time": None,
        }

    def event(self, event: Event) -> dict[str, Any]:
        return {
            "id": event.id,
            "href": f"{HREF}/events/{event.id}",
            "type": event.type,
            "state": "succeeded" if event.type.startswith("user.") else None,
            "body": event.body,
            "interpolated": event.body,
            "created_at": to_text(event.created_at),
            "modified_by": None,
            "ip": event.ip,
            "relationships": [{"href": f"{HREF}/devices/{event.device_id}"}, {"href": self.project_href()}],
        }

    # -- spot market -----------------------------------------------------------------------------

    def spot_request(self, request: SpotRequest) -> dict[str, Any]:
        """`facilities` and `devices` are lists of hrefs, `plan` is one: whoever wants more says include."""
        catalogue = self._cloud.catalogue
        facility = catalogue.facilities[catalogue.metro_settings[request.metro].facility]
        devices = self._cloud.spot.devices_of(request)
        return {
            "id": request.id,
            "href": f"{HREF}/spot-market-requests/{request.id}",
            "devices_min": request.devices_min,
            "devices_max": request.devices_max,
            "max_bid_price": request.max_bid_price,
            "created_at": to_text(request.created_at),
            "end_at": to_text(request.end_at),
            "plan": {"href": catalogue.plans[request.plan]["href"]},
            "metro": catalogue.metros[request.metro],
            "facilities": [{"href": facility["href"]}] if request.by_facility else [],
            "project": {"href": self.project_href()},
            "devices": [{"href": device_href(device)} for device in devices],
        }

    # -- hrefs -----------------------------------------------------------------------------------

    def resolve(self, href: str) -> dict[str, Any] | None:
        """The full object behind a href, with or without the prefix."""
        match = _HREF.match(href)
        if match is None:
            return None
        kind, key = match["kind"], match["id"]
        catalogue, store = self._cloud.catalogue, self._cloud.store
        tables = {
            "plans": catalogue.plans,
            "facilities": catalogue.facilities,
            "locations/metros": catalogue.metros,
            "operating-systems": catalogue.operating_systems,
        }
        if kind in tables:
            return next((item for item in tables[kind].values() if item["id"] == key), None)
        if kind == "devices" and key in store.devices:
            return self.device(store.devices[key])
        if kind == "hardware-reservations" and key in store.reservations:
            return self.reservation(store.reservations[key])
        if kind == "ssh-keys" and key in store.ssh_keys:
            return self.ssh_key(store.ssh_keys[key])
        single = {"projects": self.project, "organizations": self.organization, "users": self.user}
        return single[kind]() if kind in single else None


def _reservation_href(reservation_id: str | None) -> dict[str, str] | None:
    return {"href": f"{HREF}/hardware-reservations/{reservation_id}"} if reservation_id else None


def device_href(device: Device) -> str:
    return f"{HREF}/devices/{device.id}"


def _percentage(device: Device) -> float | None:
    return {"queued": 0.0, "provisioning": 50.0, "reinstalling": 50.0}.get(device.state)
