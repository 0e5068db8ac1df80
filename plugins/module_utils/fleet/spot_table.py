# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A spot plan as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.plan_file import has_changes
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_live import machine_cost, request_cost
from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import head, row, wrapped

COLUMNS = (
    ("bid", -11),
    ("plan", -14),
    ("metros", -6),
    ("n", 3),
    ("max", 6),
    ("market", 6),
    ("USD/h", 7),
    ("USD/month", 9),
)


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """Table, totals, what will be done, and what else is live."""
    lines = head(COLUMNS)
    lines += [_bid_row(bid) for bid in plan["bids"]]
    lines += wrapped(
        f"At most {plan['cost_usd_per_hour']:.2f} USD per hour, {plan['cost_usd_per_month']:.2f} USD per month of 730 hours; "
        f"ceiling {plan['ceiling_usd_per_hour']:.2f} USD per hour."
    )
    now = plan["cost_now_usd_per_hour"]
    lines += wrapped(
        "What runs now costs "
        + ("an unknown price." if now is None else f"{now:.2f} USD per hour at the market's price.")
    )
    for bid in plan["bids"]:
        lines += wrapped(_sentence(bid))
    return lines + _ends(plan) + _others(plan) + _verdict(plan)


def summary_lines(plan: Mapping[str, Any], results: Sequence[Mapping[str, Any]], check_mode: bool) -> list[str]:
    """What was made: request ids, machines, cost."""
    lines: list[str] = []
    for result in results:
        lines += wrapped(_made(result)) + [f"  machine {device}" for device in sorted(result["device_ids"])]
    verb = "would cost" if check_mode else "costs"
    return lines + wrapped(
        f"The fleet {verb} at most {plan['cost_usd_per_hour'] + plan['undeclared_usd_per_hour']:.2f} USD per hour "
        f"(ceiling {plan['ceiling_usd_per_hour']:.2f})."
    )


def _bid_row(bid: Mapping[str, Any]) -> str:
    price = "spot_price_usd_per_hour" if bid["kind"] == "spot" else "on_demand_price_usd_per_hour"
    market = "-" if bid[price] is None else f"{bid[price]:.3f}"
    return row(
        [
            bid["name"],
            bid["plan"],
            ",".join(bid["metros"]),
            str(bid["count"]),
            f"{bid['max_bid_usd_per_hour']:.2f}",
            market,
            f"{bid['usd_per_hour']:.2f}",
            f"{bid['usd_per_month']:.2f}",
        ],
        COLUMNS,
    )


def _sentence(bid: Mapping[str, Any]) -> str:
    notes = "".join(f"; {note}" for note in bid["notes"])
    machines = f"{len(bid['device_ids'])} machines"
    single = "" if bid["kind"] == "spot" else f" {bid['kind'].replace('_', ' ')}"
    if bid["action"] == "create":
        what = f"create a request for {bid['count']} {bid['plan']}" if not single else f"buy {bid['plan']}{single}"
        return f"{bid['name']}: {what} in {bid['metro']}{notes}"
    if bid["action"] == "keep":
        what = (
            f"request {bid['request_id']} in {bid['metro']} ({machines})"
            if not single
            else f"{machines}{single} in {bid['metro']}"
        )
        return f"{bid['name']}: keep {what}{notes}"
    if bid["action"] == "change":
        return (
            f"{bid['name']}: replace request {bid['request_id']} ({machines}, drained first) by one for {bid['count']} "
            f"{bid['plan']} in {bid['metro']}{notes}"
        )
    if bid["action"] == "pause":
        return f"{bid['name']}: nothing is bought{notes}"
    return f"{bid['name']}: cannot be bought as declared"


def _ends(plan: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for end in plan["ends"]:
        what = f"request {end['request_id']}" if end["request_id"] else "the machine"
        machines = f", its machines drained first: {', '.join(end['device_ids'])}" if end["device_ids"] else ""
        lines += wrapped(f"{end['name'] or '(no name)'}: end {what} ({end['reason']}){machines}")
    return lines


def _verdict(plan: Mapping[str, Any]) -> list[str]:
    return [] if has_changes(plan) or plan["problems"] else ["Nothing to do."]


def _made(result: Mapping[str, Any]) -> str:
    bid = result["bid"]
    if result["request_id"] is None:
        return f"{bid['name']}: would request {bid['count']} machines in {bid['metro']}"
    machines = f"{len(result['device_ids'])} of {bid['count']} machines"
    return f"{bid['name']}: request {result['request_id']} in {bid['metro']}, {machines}"


def _others(plan: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    ending = {end["request_id"] for end in plan["ends"]}
    ending_machines = {device for end in plan["ends"] for device in end["device_ids"]}
    for request in plan["undeclared"]:
        if request["id"] not in ending:
            lines += wrapped(
                f"{request['name'] or request['id']}: no longer declared, but live (request {request['id']}, at most "
                f"{request_cost(request):.2f} USD per hour); counts towards the ceiling and is left as it is"
            )
    for machine in plan["undeclared_machines"]:
        if machine["id"] not in ending_machines:
            cost = machine_cost(machine)
            price = (
                "at an unknown price, beside which nothing is bought"
                if cost is None
                else f"at most {cost:.2f} USD per hour, counts towards the ceiling"
            )
            lines += wrapped(
                f"{machine['name'] or '(no name)'}: single machine {machine['id']}, {price}; left as it is"
            )
    return lines + _foreign("requests", plan["foreign"]) + _foreign("machines", plan["foreign_machines"])


def _foreign(what: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    ids = ", ".join(item["id"] for item in found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
    return wrapped(f"foreign {what}, never touched: {ids}") if found else []
