# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the provider sells: plans, metros, and their prices on the spot market and on demand, in USD per hour."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import BadAnswer, Refused

CURRENCY = "USD"


def read_plans(client: Client) -> dict[str, dict[str, Any]]:
    """The plans that the project may use, by slug."""
    return _by_name(client, f"/projects/{client.settings.project_id}/plans", "plans", "slug")


def read_metros(client: Client) -> dict[str, dict[str, Any]]:
    """All metros, by their code in lower case."""
    return _by_name(client, "/locations/metros", "metros", "code")


def _by_name(client: Client, path: str, key: str, name: str) -> dict[str, dict[str, Any]]:
    items = client.get(path).get(key)
    if not isinstance(items, list):
        raise BadAnswer(f"{client.url(path)} answered without a list named '{key}'.", 200, client.url(path))
    return {item[name].lower(): item for item in values.objects(items) if values.text(item.get(name))}


def check_sold(client: Client, plan: str, metro: str) -> None:
    """Refuse a plan or a metro that the provider does not know, naming those that were perhaps meant."""
    plans = read_plans(client)
    if plan.lower() not in plans:
        raise Refused(f"There is no plan '{plan}'. {_near(plan, plans)}")
    metros = read_metros(client)
    if metro.lower() not in metros:
        raise Refused(f"There is no metro '{metro}'. {_near(metro, metros)}")


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), sorted(known), n=5, cutoff=0.5)
    return f"Near it are: {', '.join(near)}." if near else f"There are: {', '.join(sorted(known)) or 'none at all'}."


def read_spot_prices(client: Client) -> dict[tuple[str, str], float]:
    """The current price of the spot market for each plan and metro that has one."""
    path = "/market/spot/prices/metros"
    places = client.get(path).get("spot_market_prices")
    if not isinstance(places, dict):
        raise BadAnswer(f"{client.url(path)} answered without 'spot_market_prices'.", 200, client.url(path))
    prices = {}
    for metro, plans in places.items():
        for plan, entry in plans.items() if isinstance(plans, dict) else ():
            price = values.number(values.inner(entry, "price"))
            if price is not None:
                prices[plan.lower(), metro.lower()] = price
    return prices


def on_demand_price(plan: dict[str, Any], metro: dict[str, Any]) -> float | None:
    """The price of a plan on demand in a metro: the metro's own, or else the plan's."""
    if "on_demand" not in (values.texts(plan.get("deployment_types")) or ["on_demand"]):
        return None
    place = _place(plan, metro)
    if place is None:
        return None
    own = values.number(values.inner(place, "price", "hour"))
    return own if own is not None else values.number(values.inner(plan, "pricing", "hour"))


def _place(plan: dict[str, Any], metro: dict[str, Any]) -> dict[str, Any] | None:
    """The entry of a plan for a metro, known by its href or id; None when the plan is not there."""
    places = plan.get("available_in_metros")
    if not isinstance(places, list):
        return {}
    return next((place for place in values.objects(places) if values.identifier(place) == metro.get("id")), None)


def read_offers(client: Client, plans: list[str], metros: list[str]) -> dict[str, Any]:
    """What is offered among some plans and metros (all when empty), with both prices, and which of them are not known."""
    sold, places, prices = read_plans(client), read_metros(client), read_spot_prices(client)
    wanted_plans = [plan.lower() for plan in plans] or sorted(sold)
    wanted_metros = [metro.lower() for metro in metros] or sorted(places)
    pairs = [(plan, metro) for plan in wanted_plans if plan in sold for metro in wanted_metros if metro in places]
    offers = [_offer(plan, metro, sold[plan], places[metro], prices) for plan, metro in pairs]
    return {
        "prices": [offer for offer in offers if offer is not None],
        "unknown_plans": [plan for plan in plans if plan.lower() not in sold],
        "unknown_metros": [metro for metro in metros if metro.lower() not in places],
    }


def _offer(
    plan: str, metro: str, sold: dict[str, Any], place: dict[str, Any], prices: dict[tuple[str, str], float]
) -> dict[str, Any] | None:
    spot = prices.get((plan, metro))
    on_demand = on_demand_price(sold, place)
    if spot is None and on_demand is None:
        return None
    return {
        "plan": plan,
        "metro": metro,
        "spot_price_usd_per_hour": spot,
        "on_demand_price_usd_per_hour": on_demand,
        "currency": CURRENCY,
    }


def is_sold(plan: dict[str, Any], metro: dict[str, Any]) -> bool:
    """True when a plan is there in a metro, as far as the API tells."""
    return _place(plan, metro) is not None


def dearest_on_demand(client: Client, plan: str, metros: Iterable[str]) -> float | None:
    """The highest price of a plan among some metros (`any` stands for all), on demand; None when one of them tells none."""
    sold, places = read_plans(client).get(plan), read_metros(client)
    if sold is None:
        raise Refused(f"There is no plan '{plan}'. {_near(plan, read_plans(client))}")
    named = list(metros)
    wanted = sorted(places) if "any" in named else named
    unknown = [metro for metro in wanted if metro not in places]
    if unknown:
        raise Refused(f"There is no metro '{unknown[0]}'. {_near(unknown[0], places)}")
    prices = [on_demand_price(sold, places[metro]) for metro in wanted if is_sold(sold, places[metro])]
    known = [price for price in prices if price is not None]
    return max(known) if known and len(known) == len(prices) else None


def read_history(
    client: Client, plan: str, metro: str, since: datetime.datetime, until: datetime.datetime
) -> list[dict[str, Any]]:
    """The prices of the spot market over a time, oldest first."""
    path = "/market/spot/prices/history"
    asked = {"plan": plan, "metro": metro, "from": int(since.timestamp()), "until": int(until.timestamp())}
    points = values.inner(client.get(path, asked), "prices_history", "datapoints")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise BadAnswer(
            f"{client.url(path)} answered without a list of pairs of price and time.", 200, client.url(path)
        )
    told = []
    for price, moment in sorted(points, key=lambda point: values.number(point[1]) or 0.0):
        seconds = values.number(moment)
        at = None if seconds is None else values.stamp(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))
        told.append({"at": at, "price_usd_per_hour": values.number(price)})
    return told
