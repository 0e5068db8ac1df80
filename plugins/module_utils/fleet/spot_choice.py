# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which plan is bought in which metro for a bid that has nothing live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import dollars

Json = Mapping[str, Any]
Place = tuple[str, str]


class Choice(NamedTuple):
    """Plan, metro and offer; or none of them, because every one is paused (`paused`) or something is wrong (`problem`)."""

    plan: str | None = None
    metro: str | None = None
    offer: Json | None = None
    notes: tuple[str, ...] = ()
    paused: bool = False
    problem: str | None = None


def plans_of(bid: Json) -> list[str]:
    """The plan and those that may stand in for it, in order of preference, as providers write them."""
    return [str(plan).lower() for plan in (bid["plan"], *bid["fallback_plans"])]


def metros_of(bid: Json) -> list[str]:
    return [str(metro).lower() for metro in bid["metros"]]


def choose(bid: Json, offers: Iterable[Json], pauses: Sequence[Json]) -> Choice:
    """The first place that can be had at the bid's price: by plan, then by metro; else the first that waits for its price to fall."""
    offered = {(offer["plan"], offer["metro"]): offer for offer in offers if _is_sold(bid, offer)}
    wanted = [(plan, metro) for plan in plans_of(bid) for metro in metros_of(bid) if (plan, metro) in offered]
    if not wanted:
        return Choice(problem=_nowhere(bid))
    stopped = {(pause["plan"], pause["metro"]): pause for pause in pauses}
    open_places = [place for place in wanted if place not in stopped]
    notes = tuple(_paused_note(stopped[place]) for place in wanted if place in stopped)
    if not open_places:
        return Choice(notes=notes, paused=True)
    affordable = [place for place in open_places if not above_bid(bid, offered[place])]
    if not affordable and bid["kind"] != "spot":
        return Choice(problem=_too_dear(bid, offered[open_places[0]]))
    place = (affordable or open_places)[0]
    return Choice(*place, offered[place], notes + _passed_over(wanted, place))


def price_of(bid: Json, offer: Json) -> float | None:
    """The market's price of one machine in an hour; None when none is known. A reserved one is paid already."""
    if bid["kind"] == "reserved":
        return 0.0
    price: float | None = offer["spot_price_usd_per_hour" if bid["kind"] == "spot" else "on_demand_price_usd_per_hour"]
    return price


def above_bid(bid: Json, offer: Json) -> bool:
    price = price_of(bid, offer)
    return price is not None and dollars(price) > dollars(bid["max_bid_usd_per_hour"])


def _is_sold(bid: Json, offer: Json) -> bool:
    """On demand, a place without a price sells nothing. On the spot market it may have no price and still take a bid."""
    return bid["kind"] != "on_demand" or offer["on_demand_price_usd_per_hour"] is not None


def _nowhere(bid: Json) -> str:
    plans = plans_of(bid)
    what = f"the plan {plans[0]}" if len(plans) == 1 else f"one of the plans {', '.join(plans)}"
    return f"bid {bid['name']!r}: none of its metros ({', '.join(bid['metros'])}) offers {what}"


def _too_dear(bid: Json, offer: Json) -> str:
    return (
        f"bid {bid['name']!r}: {offer['plan']} in {offer['metro']} costs {offer['on_demand_price_usd_per_hour']} USD per hour on "
        f"demand, more than max_bid_usd_per_hour ({bid['max_bid_usd_per_hour']}): raise it, or take the bid out"
    )


def _paused_note(pause: Json) -> str:
    return f"{pause['plan']} in {pause['metro']} is paused until {pause['until']}: {pause['reclaims']} machines were reclaimed there"


def _passed_over(wanted: Sequence[Place], chosen: Place) -> tuple[str, ...]:
    """A fallback is said, so that nobody wonders why another plan runs."""
    return (f"in the place of {wanted[0][0]}",) if chosen[0] != wanted[0][0] else ()
