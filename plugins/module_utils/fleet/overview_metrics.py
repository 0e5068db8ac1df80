# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet at a glance for Prometheus: metrics as the node exporter's text file collector reads them, and what it is to scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_problems

PREFIX = "nixmetal_fleet_"
Json = Mapping[str, Any]
Sample = tuple[dict[str, Any], Any]
Family = tuple[str, str, list[Sample]]


def metrics_text(found: Json) -> str:
    """All metrics of a complete reading. What is not known has no sample, so that an alert can tell it from 0."""
    families = [*_fleet(found), *_machines(found), *_market(found)]
    return "".join(_family(name, text, found["fleet"], samples) for name, text, samples in families)


def _fleet(found: Json) -> Iterable[Family]:
    read_at = datetime.fromisoformat(str(found["read_at"]).replace("Z", "+00:00")).timestamp()
    counts = Counter((row["plan"], row["location"], row["state"]) for row in found["machines"])
    by_kind: list[Sample] = [
        ({"plan": plan, "location": place, "state": state}, number) for (plan, place, state), number in counts.items()
    ]
    yield "reading_timestamp_seconds", "When the machines were last read completely.", [({}, read_at)]
    yield "machines", "Machines of the fleet.", by_kind
    yield "cost_usd_per_hour", "What the machines cost now.", [({}, found["usd_per_hour"])]
    yield (
        "cost_at_most_usd_per_hour",
        "What machines and live requests may cost.",
        [({}, found["usd_per_hour_at_most"])],
    )
    yield (
        "ceiling_usd_per_hour",
        "What they may cost at most by the operator's word.",
        [({}, found["ceiling_usd_per_hour"])],
    )
    yield (
        "cost_unknown_machines",
        "Machines of which it is not known what they may cost.",
        [({}, len(found["cost_unknown"]))],
    )


def _machines(found: Json) -> Iterable[Family]:
    rows = found["machines"]
    yield (
        "machine_created_timestamp_seconds",
        "When the machine was made.",
        [
            ({"id": row["id"], "plan": row["plan"], "location": row["location"]}, _seconds(row["created_at"]))
            for row in rows
        ],
    )
    yield (
        "machine_coming_up",
        "1 while the provider has the machine, but it has not said that it is up.",
        [
            ({"id": row["id"], "state": row["state"]}, int(row["coming_up"]))
            for row in rows
            if row["coming_up"] is not None
        ],
    )
    yield (
        "machine_draining",
        "1 while the machine is kept free of new builds.",
        [({"id": row["id"], "owner": ",".join(row["drained_by"])}, 1) for row in rows if row["drained_by"]],
    )
    yield (
        "machine_termination_timestamp_seconds",
        "When the provider will reclaim the machine.",
        [({"id": row["id"]}, _seconds(row["termination_time"])) for row in rows if row["termination_time"]],
    )


def _market(found: Json) -> Iterable[Family]:
    samples: list[Sample] = [
        (
            {"provider": row["provider"], "plan": row["plan"], "metro": row["metro"], "kind": kind},
            row[f"{kind}_price_usd_per_hour"],
        )
        for row in found["prices"]
        for kind in ("spot", "on_demand")
    ]
    yield "market_price_usd_per_hour", "What a machine costs now.", samples
    bids: list[Sample] = [
        ({"bid": bid["name"], "plan": bid["plan"]}, bid["max_bid_usd_per_hour"]) for bid in found["bids"]
    ]
    yield "max_bid_usd_per_hour", "What a machine of the bid may cost.", bids


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _family(name: str, text: str, fleet: str, samples: Sequence[Sample]) -> str:
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return ""
    head = f"# HELP {PREFIX}{name} {text}\n# TYPE {PREFIX}{name} gauge\n"
    return head + "".join(
        sorted(f"{PREFIX}{name}{_labels({'fleet': fleet, **labels})} {value:.15g}\n" for labels, value in known)
    )


def _labels(labels: Mapping[str, Any]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def scrape_targets(hosts: Sequence[Json], port: int, opt_out_tag: str, fleet: str) -> list[dict[str, Any]]:
    """The node exporters of the fleet's machines, for Prometheus's file_sd. One without an address, or with the tag, is left out."""
    groups = [
        {"targets": [_target(str(host["builder_address"]), port)], "labels": _target_labels(host)}
        for host in hosts
        if not facts_problems(host)
        and host["builder_fleet"] == fleet
        and host["builder_address"]
        and opt_out_tag not in host["builder_tags"]
    ]
    return sorted(groups, key=lambda group: str(group["labels"]["id"]))


def _target(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _target_labels(host: Json) -> dict[str, str]:
    fields = ("plan", "location", "state", "provider", "fleet")
    labels = {name: str(host[f"builder_{name}"] or "") for name in fields}
    return {**labels, "role": str(host.get("builder_role") or "builder"), "id": str(host["builder_id"])}
