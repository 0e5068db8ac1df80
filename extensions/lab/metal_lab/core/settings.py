# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator's configuration file: one typed model, and messages that name the setting at fault."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metal_lab.core import catalogue_data


class SettingsError(Exception):
    """The configuration cannot be used; the text names the setting and the remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class MetroSettings(_Model):
    code: str
    name: str
    country: str = "US"
    facility: str


class DiskSettings(_Model):
    """A disk of a virtual machine. It lives as long as the device, and no reboot changes it."""

    bus: Literal["virtio", "nvme", "usb"] = "virtio"
    serial: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,20}$")
    size_mb: int = Field(256, ge=1)


class PlanSettings(_Model):
    """One kind of machine. ``metros`` empty means everywhere; without a spot price it has no spot market."""

    slug: str
    class_name: str | None = Field(None, alias="class")
    name: str | None = None
    on_demand_price: float = Field(gt=0)
    spot_price: float | None = Field(None, gt=0)
    spot_prices: dict[str, float] = {}
    metros: tuple[str, ...] = ()
    capacity: int = Field(1000, ge=0, description="machines per metro")
    cpu: str = "AMD EPYC 7402P 24-Core Processor @ 2.80GHz"
    memory: str = "64GB"
    cores: int | None = Field(None, ge=1, description="cores of the virtual machine")
    memory_mb: int | None = Field(None, ge=128, description="memory of the virtual machine")
    disks: tuple[DiskSettings, ...] = Field((), description="disks of the virtual machine")

    @model_validator(mode="after")
    def _serials_differ(self) -> PlanSettings:
        serials = [disk.serial for disk in self.disks]
        twice = sorted({serial for serial in serials if serials.count(serial) > 1})
        if twice:
            raise ValueError(f"two disks have the serial {twice[0]}")
        return self


class ReservationSettings(_Model):
    """Reserved servers of one plan in one metro. A spare one cannot be ordered."""

    plan: str
    metro: str
    count: int = Field(1, ge=1, le=1000)
    spare: bool = False


class LimitSettings(_Model):
    """What holds for every call of the API: how many in a window of seconds, and how long each takes."""

    calls: int | None = Field(None, ge=1, description="calls in a window; none for no limit")
    window: float = Field(60.0, gt=0)
    latency: float = Field(0.0, ge=0, le=60, description="real seconds before each answer")


class TimingSettings(_Model):
    """Seconds that each step takes, on the emulator's clock."""

    spot_fill: float = Field(1.0, ge=0)
    queued: float = Field(1.0, ge=0)
    boot: float = Field(3.0, ge=0, description="simulated backend: from power on to phone home")
    power: float = Field(1.0, ge=0)
    deprovisioning: float = Field(2.0, ge=0)
    outbid_notice: float = Field(120.0, ge=0)
    tick: float = Field(0.2, gt=0, description="how often the real clock is looked at")


class PoolSettings(_Model):
    first: ipaddress.IPv4Address = ipaddress.IPv4Address("10.213.77.101")
    last: ipaddress.IPv4Address = ipaddress.IPv4Address("10.213.77.199")
    prefix_length: int = Field(24, ge=8, le=30)
    gateway: ipaddress.IPv4Address = ipaddress.IPv4Address("10.213.77.1")

    @model_validator(mode="after")
    def _ordered(self) -> PoolSettings:
        if self.first > self.last:
            raise ValueError(f"the pool's first address {self.first} lies after its last {self.last}")
        return self


class MarketSettings(_Model):
    """Spot prices move by ``amplitude`` (0.2 = up to 20 %) around their base, by a process that ``seed`` determines."""

    seed: int = 0
    amplitude: float = Field(0.0, ge=0, lt=1)
    interval: float = Field(300.0, gt=0)


class SimulatedSettings(_Model):
    """What a simulated machine says of itself when it has booted."""

    self_description: bool = True
    host_key: str | None = Field(None, description="one key for all; default is a key per machine and boot")
    systems: tuple[str, ...] = ("x86_64-linux", "i686-linux")
    max_jobs: int = 4
    features: tuple[str, ...] = ("kvm", "nixos-test", "big-parallel", "benchmark")
    mandatory_features: tuple[str, ...] = ()
    speed_factor: int = 1
    image_id: str = "00000000000000000000000000000000-simulated-image"


class QemuSettings(_Model):
    bridge: str = Field("br0", pattern=r"^[A-Za-z0-9_.-]{1,15}$")
    binary: str = "qemu-system-x86_64"
    dnsmasq: str = "dnsmasq"
    acceleration: Literal["auto", "kvm", "tcg"] = "auto"
    memory_mb: int = Field(768, ge=128)
    cores: int = Field(1, ge=1)
    tb_size_mb: int = Field(64, ge=16)
    boot_timeout: float | None = Field(None, gt=0, description="a machine silent for these seconds failed")
    extra_arguments: tuple[str, ...] = ()


def _default_metros() -> tuple[MetroSettings, ...]:
    return tuple(MetroSettings(code=c, name=n, country=k, facility=f) for c, n, k, f in catalogue_data.METROS)


def _default_plans() -> tuple[PlanSettings, ...]:
    return tuple(PlanSettings.model_validate(plan) for plan in catalogue_data.PLANS)


class Settings(_Model):
    """The whole file."""

    listen_address: str = "127.0.0.1"
    listen_port: int = Field(8080, ge=0, le=65535)
    port_file: Path | None = None
    base_url: str | None = Field(None, description="what machines are told; default is the listening address and port")
    state_directory: Path
    backend: Literal["simulated", "qemu"] = "simulated"
    token: str = Field(min_length=1)
    control_token: str | None = Field(None, min_length=1, description="without it /lab/ answers loopback alone")
    project_id: str = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
    project_name: str = "lab"
    delete_while_provisioning: bool = True
    metros: tuple[MetroSettings, ...] = Field(default_factory=_default_metros)
    plans: tuple[PlanSettings, ...] = Field(default_factory=_default_plans)
    reservations: tuple[ReservationSettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    timing: TimingSettings = TimingSettings()
    pool: PoolSettings = PoolSettings()
    market: MarketSettings = MarketSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    qemu: QemuSettings = QemuSettings()

    @model_validator(mode="after")
    def _machines_need_an_address(self) -> Settings:
        if self.backend == "qemu" and self.base_url is None and self.listen_address == "0.0.0.0":  # noqa: S104
            raise ValueError("base_url must be set when backend is qemu and listen_address is 0.0.0.0")
        return self

    @model_validator(mode="after")
    def _plans_name_known_metros(self) -> Settings:
        known = {metro.code for metro in self.metros}
        for plan in self.plans:
            unknown = sorted((set(plan.metros) | set(plan.spot_prices)) - known)
            if unknown:
                raise ValueError(f"plan {plan.slug} names metros that metros does not list: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _reservations_are_of_the_catalogue(self) -> Settings:
        metros, plans = {metro.code for metro in self.metros}, {plan.slug for plan in self.plans}
        for item in self.reservations:
            if item.plan not in plans or item.metro not in metros:
                raise ValueError(f"reservations: {item.plan} in {item.metro} is not in the catalogue")
        return self


def parse(values: Any, where: str = "configuration") -> Settings:
    """Make settings of a mapping, or raise SettingsError naming each setting at fault."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        places = [".".join(str(part) for part in fault["loc"]) or "file" for fault in error.errors()]
        faults = [f"{place}: {fault['msg']}" for place, fault in zip(places, error.errors(), strict=True)]
        raise SettingsError(f"{where}: {'; '.join(faults)}") from error


def load(path: Path) -> Settings:
    """Read a JSON or YAML file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is neither JSON nor YAML: {error}") from error
    return parse(values, str(path))
