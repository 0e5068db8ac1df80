# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the info modules tell of plans, metros, capacity and prices."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue, query, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import BadAnswer, SettingError

Result = dict[str, Any]
Named = dict[str, dict[str, Any]]


def _chosen(known: Named, wanted: list[str]) -> tuple[Named, list[str]]:
    """What is wanted of what there is (all when nothing is named), and what is not there."""
    names = [name.lower() for name in wanted] or sorted(known)
    return {name: known[name] for name in names if name in known}, [
        name for name in wanted if name.lower() not in known
    ]


def inform_of_plans(client: Client, options: dict[str, Any]) -> Result:
    found, unknown = _chosen(catalogue.read_plans(client), options["plans"])
    metros = catalogue.read_metros(client)
    plans = [_plan(slug, raw, metros) for slug, raw in found.items()]
    return query.with_answer({"changed": False, "plans": plans, "unknown_plans": unknown}, "plans", options["query"])


def _plan(slug: str, raw: dict[str, Any], metros: Named) -> dict[str, Any]:
    return {
        "id": values.text(raw.get("id")),
        "slug": slug,
        "name": values.text(raw.get("name")),
        "class": values.text(raw.get("class")),
        "deployment_types": values.texts(raw.get("deployment_types")),
        "price_usd_per_hour": values.number(values.inner(raw, "pricing", "hour")),
        "metros": sorted(code for code, metro in metros.items() if catalogue.is_sold(raw, metro)),
        "specs": raw.get("specs") if isinstance(raw.get("specs"), dict) else {},
    }


def inform_of_metros(client: Client, options: dict[str, Any]) -> Result:
    found, unknown = _chosen(catalogue.read_metros(client), options["metros"])
    metros = [
        {
            "id": values.text(raw.get("id")),
            "code": code,
            **{key: values.text(raw.get(key)) for key in ("name", "country")},
        }
        for code, raw in found.items()
    ]
    result: Result = {"changed": False, "metros": metros, "unknown_metros": unknown}
    return query.with_answer(result, "metros", options["query"])


def inform_of_capacity(client: Client, options: dict[str, Any]) -> Result:
    """How much is left of each plan in each metro, and whether a quantity of it can be had."""
    quantity = options["quantity"]
    if quantity is not None and quantity < 1:
        raise SettingError(f"quantity must be a number of machines of at least 1, not {quantity}.")
    levels = read_capacity(client)
    plans = {plan.lower() for plan in options["plans"]}
    metros = {metro.lower() for metro in options["metros"]}
    chosen = [
        entry for entry in levels if (not plans or entry["plan"] in plans) and (not metros or entry["metro"] in metros)
    ]
    if quantity is not None and chosen:
        available = _check(client, chosen, quantity)
        chosen = [{**entry, "available": available.get((entry["plan"], entry["metro"]))} for entry in chosen]
    return query.with_answer({"changed": False, "capacity": chosen}, "capacity", options["query"])


def read_capacity(client: Client) -> list[dict[str, Any]]:
    """The level of each plan in each metro."""
    path = "/capacity/metros"
    places = client.get(path).get("capacity")
    if not isinstance(places, dict):
        raise BadAnswer(f"{client.url(path)} answered without 'capacity'.", 200, client.url(path))
    return [
        {
            "plan": plan.lower(),
            "metro": metro.lower(),
            "level": values.text(values.inner(entry, "level")),
            "available_servers": values.integer(values.inner(entry, "available_servers")),
        }
        for metro, plans in sorted(places.items())
        if isinstance(plans, dict)
        for plan, entry in sorted(plans.items())
    ]


def _check(client: Client, chosen: list[dict[str, Any]], quantity: int) -> dict[tuple[str, str], bool | None]:
    # A string by the specification; it creates nothing, so that asking again would do no harm.
    asked = [{"plan": entry["plan"], "metro": entry["metro"], "quantity": str(quantity)} for entry in chosen]
    path = "/capacity/metros"
    answered = values.only_objects(client.post(path, {"servers": asked}).get("servers"))
    if answered is None:
        raise BadAnswer(
            f"{client.url(path)} answered without a list of objects named 'servers'.", 200, client.url(path)
        )
    told = {}
    for server in answered:
        available = server.get("available")
        key = (str(server.get("plan")).lower(), str(server.get("metro")).lower())
        told[key] = available if isinstance(available, bool) else None
    return told


def inform_of_prices(client: Client, options: dict[str, Any]) -> Result:
    """The prices of today, with the capacity beside them, and their history when a time is named."""
    found = catalogue.read_offers(client, options["plans"], options["metros"])
    levels = {(entry["plan"], entry["metro"]): entry for entry in read_capacity(client)}
    for offer in found["prices"]:
        entry = levels.get((offer["plan"], offer["metro"]), {})
        offer["capacity_level"] = entry.get("level")
        offer["available_servers"] = entry.get("available_servers")
    if options["history_from"] is not None:
        _add_history(client, found["prices"], options)
    return query.with_answer({"changed": False, **found}, "prices", options["query"])


def _add_history(client: Client, offers: list[dict[str, Any]], options: dict[str, Any]) -> None:
    since = values.moment(options["history_from"])
    until = values.moment(options["history_until"]) if options["history_until"] else client.utc_now()
    if since is None or until is None or until <= since:
        raise SettingError("history_from and history_until must be RFC 3339 times, the first before the second.")
    for offer in offers:
        if offer["spot_price_usd_per_hour"] is not None:
            offer["history"] = catalogue.read_history(client, offer["plan"], offer["metro"], since, until)
