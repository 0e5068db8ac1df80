# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud remembers. Plain data: stored as JSON, rendered elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Device:
    """A machine, real or simulated. Moments are seconds since the epoch."""

    id: str
    project_id: str
    hostname: str
    plan: str
    metro: str
    operating_system: str
    address: str
    mac: str
    created_at: float
    updated_at: float
    state: str = "queued"
    next_state: str | None = None
    next_state_at: float | None = None
    tags: list[str] = field(default_factory=list)
    description: str | None = None
    ipxe_script_url: str | None = None
    always_pxe: bool = False
    userdata: str | None = None
    customdata: dict[str, Any] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    ssh_keys: list[str] = field(default_factory=list)
    billing_cycle: str = "hourly"
    locked: bool = False
    network_frozen: bool = False
    firmware_set_id: str | None = None
    spot_instance: bool = False
    spot_price_max: float | None = None
    spot_request_id: str | None = None
    hardware_reservation_id: str | None = None
    termination_time: float | None = None
    powered: bool = False
    boot_completes_at: float | None = None
    boots: int = 0
    # How often all its disks were wiped, which `preserve_data` and `deprovision_fast` of a reinstallation keep from.
    wipes: int = 0

    @property
    def reserved(self) -> bool:
        return self.hardware_reservation_id is not None

    @property
    def short_id(self) -> str:
        return self.id.split("-")[0]


@dataclass
class SpotRequest:
    """A spot market request. Its devices are found by their ``spot_request_id``."""

    id: str
    project_id: str
    plan: str
    metro: str
    devices_min: int
    devices_max: int
    max_bid_price: float
    created_at: float
    end_at: float | None
    by_facility: bool
    instance: dict[str, Any]
    devices_made: int = 0


@dataclass
class Event:
    """Something that happened to a device; ``sequence`` orders events of the same second."""

    id: str
    sequence: int
    device_id: str
    project_id: str
    type: str
    body: str
    created_at: float
    ip: str | None = None


@dataclass
class SshKey:
    id: str
    label: str
    key: str
    created_at: float
    project_id: str | None = None


@dataclass
class Reservation:
    """A reserved server. One in need of service or spare cannot be ordered; a broken one looks well and never comes up."""

    id: str
    project_id: str
    plan: str
    metro: str
    created_at: float
    spare: bool = False
    need_of_service: bool = False
    broken: bool = False


Record = Device | SpotRequest | Event | SshKey | Reservation
KINDS: dict[str, type[Device | SpotRequest | Event | SshKey | Reservation]] = {
    "device": Device,
    "spot_request": SpotRequest,
    "event": Event,
    "ssh_key": SshKey,
    "reservation": Reservation,
}


def to_json(record: Record) -> dict[str, Any]:
    return asdict(record)
