# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients order: bodies of create calls, checked against the catalogue."""

from __future__ import annotations

from typing import Any

from metal_lab.core.catalogue import Catalogue
from metal_lab.core.checks import Fields
from metal_lab.core.world import World


def check_plan(fields: Fields, catalogue: Catalogue) -> str | None:
    name = fields.text("plan", required=True)
    if name is None:
        return None
    plan = catalogue.find_plan(name)
    if plan is None:
        fields.complain("plan", f"'{name}' is not a valid plan")
    return plan


def check_operating_system(fields: Fields, catalogue: Catalogue) -> str | None:
    """custom_ipxe boots nothing without a script; the script may also be the userdata."""
    name = fields.text("operating_system", required=True)
    if name is None:
        return None
    found = catalogue.find_operating_system(name)
    if found is None:
        fields.complain("operating_system", f"'{name}' is not a valid operating system")
    script = str(fields.values.get("userdata") or "").startswith("#!ipxe") or fields.has("ipxe_script_url")
    if found == "custom_ipxe" and not script:
        fields.complain("ipxe_script_url", "can't be blank when operating_system is custom_ipxe")
    return found


def check_places(fields: Fields, names: list[Any], what: str, find: Any) -> list[str]:
    """Metro codes, in the order of preference, of metros or facilities."""
    places = []
    for name in names:
        found = find(name)
        if found is None:
            fields.complain(what, f"'{name}' could not be found")
        else:
            places.append(found)
    return places


def wanted_places(fields: Fields, catalogue: Catalogue, facility_key: str) -> list[str]:
    """Metros that the order names, by metro or by facility (the older form); `any` adds all others."""
    metro = fields.values.get("metro")
    facilities = fields.values.get(facility_key)
    if not metro and not facilities:
        fields.complain("metro", "or facility must be given")
        return []
    named = metro or facilities
    names = list(named) if isinstance(named, list) else [named]
    find, everywhere = (
        (catalogue.find_metro, list(catalogue.metros))
        if metro
        else (catalogue.find_metro_of_facility, list(catalogue.metros))
    )
    chosen = check_places(fields, [n for n in names if n != "any"], "metro" if metro else facility_key, find)
    return chosen + [place for place in everywhere if place not in chosen] if "any" in names else chosen


def check_sold(fields: Fields, world: World, plan: str, places: list[str], *, spot: bool) -> list[str]:
    """The named places where the plan is sold; a complaint when there are none."""
    catalogue = world.catalogue
    sold = {metro.code for metro in catalogue.sold_in(catalogue.plan_settings[plan])}
    if spot:
        sold = {code for code in sold if world.market.has_spot(plan, code)}
    found = [place for place in places if place in sold]
    if places and not found:
        market = "on the spot market of" if spot else "in"
        fields.complain("plan", f"{plan} is not available {market} metro {', '.join(places)}")
    return found


def instance_values(fields: Fields) -> dict[str, Any]:
    """What single devices and spot requests have in common, as Device keyword arguments."""
    return {
        "tags": fields.texts("tags"),
        "description": fields.text("description"),
        "ipxe_script_url": fields.url("ipxe_script_url"),
        "always_pxe": fields.flag("always_pxe"),
        "userdata": fields.text("userdata"),
        "customdata": fields.mapping("customdata"),
        "billing_cycle": fields.text("billing_cycle") or "hourly",
        "locked": fields.flag("locked"),
        "network_frozen": fields.flag("network_frozen"),
        "termination_time": fields.moment("termination_time"),
    }


def chosen_keys(fields: Fields, world: World, project_id: str) -> list[str]:
    """Texts of the SSH keys that go on the machine; with none named, all of the project and the user."""
    if fields.flag("no_ssh_keys"):
        return []
    named = set(fields.texts("project_ssh_keys")) | set(fields.texts("user_ssh_keys"))
    given = fields.values.get("ssh_keys") or []
    if not isinstance(given, list):
        fields.complain("ssh_keys", "must be a list of objects")
        given = []
    keys = [item["key"] for item in given if isinstance(item, dict) and isinstance(item.get("key"), str)]
    everyone = not named and not given
    ours = [key for key in world.store.ssh_keys.values() if key.project_id in (None, project_id)]
    return keys + [key.key for key in ours if everyone or key.id in named]
