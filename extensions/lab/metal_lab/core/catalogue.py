# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, metros, facilities and operating systems: found by code, slug or id, in either case."""

from __future__ import annotations

import uuid
from functools import cached_property, lru_cache
from typing import Any

from metal_lab.core.catalogue_data import OPERATING_SYSTEMS
from metal_lab.core.settings import MetroSettings, PlanSettings, Settings

_NAMESPACE = uuid.UUID("3c0a7f9e-7f0e-4a55-9d0e-6d6574616c31")
HREF = "/metal/v1"


@lru_cache(4096)
def stable_id(*parts: str) -> str:
    """An id that is the same in every lab and after every restart."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


class Catalogue:
    """Lookups and the API's objects for them. Objects are shared: never change one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.plan_settings = {plan.slug: plan for plan in settings.plans}
        self.metro_settings = {metro.code: metro for metro in settings.metros}

    def sold_in(self, plan: PlanSettings) -> list[MetroSettings]:
        return [metro for metro in self._settings.metros if not plan.metros or metro.code in plan.metros]

    # -- lookups: the code or slug, or None ------------------------------------------------------

    def find_plan(self, name: object) -> str | None:
        return self._find(name, self.plans, "slug")

    def find_metro(self, name: object) -> str | None:
        return self._find(name, self.metros, "code")

    def find_operating_system(self, name: object) -> str | None:
        return self._find(name, self.operating_systems, "slug")

    def find_metro_of_facility(self, name: object) -> str | None:
        code = self._find(name, self.facilities, "code")
        return self.facilities[code]["metro"]["code"] if code else None

    @staticmethod
    def _find(name: object, table: dict[str, dict[str, Any]], key: str) -> str | None:
        wanted = str(name).lower()
        if wanted in table:
            return wanted
        return next((item[key] for item in table.values() if item["id"] == wanted), None)

    # -- objects ---------------------------------------------------------------------------------

    @cached_property
    def metros(self) -> dict[str, dict[str, Any]]:
        return {metro.code: self._metro(metro) for metro in self._settings.metros}

    @staticmethod
    def _metro(metro: MetroSettings) -> dict[str, Any]:
        key = stable_id("metro", metro.code)
        return {
            "id": key,
            "href": f"{HREF}/locations/metros/{key}",
            "code": metro.code,
            "name": metro.name,
            "country": metro.country,
        }

    @cached_property
    def facilities(self) -> dict[str, dict[str, Any]]:
        return {metro.facility: self._facility(metro) for metro in self._settings.metros}

    def _facility(self, metro: MetroSettings) -> dict[str, Any]:
        key = stable_id("facility", metro.facility)
        return {
            "id": key,
            "href": f"{HREF}/facilities/{key}",
            "code": metro.facility,
            "name": metro.name,
            "features": ["baremetal", "backend_transfer", "layer_2", "global_ipv4", "ibx"],
            "ip_ranges": [],
            "address": {"href": "#0688e909-647e-4b21-bdf2-fc056d993fc5"},
            "metro": self.metros[metro.code],
        }

    @cached_property
    def operating_systems(self) -> dict[str, dict[str, Any]]:
        return {slug: self._operating_system(key, slug, *rest) for key, slug, *rest in OPERATING_SYSTEMS}

    def _operating_system(self, key: str, slug: str, name: str, distro: str, version: str) -> dict[str, Any]:
        return {
            "id": key,
            "href": f"{HREF}/operating-systems/{key}",
            "slug": slug,
            "name": name,
            "distro": distro,
            "distro_label": name,
            "version": version,
            "preinstallable": False,
            "pricing": {},
            "licensed": False,
            "lifecycle_state": "active",
            "provisionable_on": list(self.plan_settings),
        }

    @cached_property
    def plans(self) -> dict[str, dict[str, Any]]:
        return {plan.slug: self._plan(plan) for plan in self._settings.plans}

    def _plan(self, plan: PlanSettings) -> dict[str, Any]:
        key = stable_id("plan", plan.slug)
        price = {"hour": plan.on_demand_price}
        places = self.sold_in(plan)
        return {
            "id": key,
            "href": f"{HREF}/plans/{key}",
            "slug": plan.slug,
            "class": plan.class_name or plan.slug,
            "name": plan.name or plan.slug,
            "description": f"{plan.slug} as the lab emulates it",
            "line": "baremetal",
            "legacy": False,
            "categories": ["compute", "current_gen"],
            "type": "standard",
            "deployment_types": ["on_demand", *(["spot_market"] if plan.spot_price else [])],
            "pricing": price,
            "specs": _specs(plan),
            "available_in": [{"href": self.facilities[metro.facility]["href"], "price": price} for metro in places],
            "available_in_metros": [{"href": self.metros[metro.code]["href"], "price": price} for metro in places],
        }


def _specs(plan: PlanSettings) -> dict[str, Any]:
    return {
        "cpus": [{"count": 1, "type": plan.cpu}],
        "memory": {"total": plan.memory},
        "drives": [
            {"count": 2, "size": "240GB", "type": "SSD", "category": "boot"},
            {"count": 2, "size": "480GB", "type": "SSD", "category": "storage"},
        ],
        "nics": [{"count": 2, "type": "10Gbps"}],
        "features": {"raid": False, "txt": True, "uefi": False},
    }
