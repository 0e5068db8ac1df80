# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet at a glance: what is known and what is not, in the terminal, as metrics and as targets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.filter.fleet import FilterModule
from fleet_world import drained, machine, request, requested

CHECKOUT = Path(__file__).resolve().parents[4]
PROMTOOL = os.environ.get("NIXMETAL_TEST_PROMTOOL") or shutil.which("promtool") or ""
FILTERS = FilterModule().filters()


def sold(plan: str, spot: float | None, on_demand: float) -> dict[str, Any]:
    return {
        "plan": plan,
        "metro": "am",
        "spot_price_usd_per_hour": spot,
        "on_demand_price_usd_per_hour": on_demand,
        "currency": "USD",
    }


OFFERS: dict[str, Any] = {
    "equinix_metal": {
        "kinds": ["spot"],
        "offers": [sold("c3.small.x86", 0.125, 0.75), sold("m3.large.x86", None, 3.1)],
    },
    "ssh_host": {"kinds": [], "offers": []},
}
BID = {"name": "base", "plan": "c3.small.x86", "max_bid_usd_per_hour": 0.35, "metros": ["am"]}


def look(*hosts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    readings = {
        "read_at": "2026-11-24T12:00:00Z",
        "jobs": {},
        "requests": [],
        "offers": OFFERS,
        "bids": [BID],
        "prices": {},
        "drain_tag": "skip-hydra",
        "boot_seconds": 3600,
        **changes,
    }
    found: dict[str, Any] = FILTERS["fleet_overview"](list(hosts), readings, "lab", 2)
    return found


def test_prices_now_and_at_most() -> None:
    spot = machine(1, builder_spot={"request_id": None, "bid": None, "termination_time": None})
    by_bid = requested(2, "r9", builder_tags=["nixmetal-fleet=lab"])
    on_demand = machine(3, builder_tags=["nixmetal-fleet=lab"], builder_plan="m3.large.x86")
    reserved = machine(4, builder_reservation_id="x")
    own = machine(5, builder_provider="ssh_host", builder_tags=["nixmetal-fleet=lab"], builder_plan="desk")
    found = look(spot, by_bid, on_demand, reserved, own)
    assert [(row["usd_per_hour"], row["usd_per_hour_at_most"]) for row in found["machines"]] == [
        (0.125, 0.5), (0.125, 0.35), (3.1, 3.1), (0.0, 0.0), (0.0, 0.0)
    ]  # fmt: skip
    assert (found["usd_per_hour"], found["usd_per_hour_at_most"]) == (pytest.approx(3.35), 3.95)


def test_live_request_counts_with_its_whole_number() -> None:
    found = look(requested(1), requests=[{**request(count=3, bid=0.35), "plan": "c3.small.x86", "metro": "am"}])
    assert found["usd_per_hour_at_most"] == 1.05


def test_what_is_not_known_makes_the_sum_unknown() -> None:
    found = look(machine(1), machine(2, builder_tags=["nixmetal-fleet=lab"], builder_plan="odd"))
    assert (found["usd_per_hour"], found["usd_per_hour_at_most"], found["cost_unknown"], found["jobs"]) == (
        None,
        None,
        ["m2"],
        None,
    )
    assert look(machine(1), jobs={"m1": {"jobs": 3}})["jobs"] == 3


def test_table_fits_and_tells_what_matters() -> None:
    long = "5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01"
    notice = {"request_id": "r1", "bid": "base", "termination_time": "2026-11-24T12:02:00Z"}
    hosts = [
        machine(1, builder_id=long, builder_spot=notice),
        drained(2, "rollout"),
        machine(3, builder_state="provisioning", builder_host_key=None, age=None),
        machine(4, builder_port="x"),
        machine(5, builder_fleet="other"),
        requested(6, builder_tags=["nixmetal-fleet=lab"]),
    ]
    live = {**request(count=2), "plan": "c3.small.x86", "metro": "am"}
    lines = FILTERS["fleet_status_table"](
        look(*hosts, jobs={long: {"jobs": 2}}, requests=[live, {**live, "id": "r2", "ours": False}])
    )
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 72
    for words in (long, "RECLAIMED at 2026-11-24T12:02:00Z", "drained by rollout", "state provisioning", "bad facts:", "bid base",
                  "autoscale small", "request r1 (base): 0 of 2 machines, at most 1.00 USD per hour", "request r2: of somebody else",
                  "1 machines of other fleets, or of none", "at most not known, ceiling 2.00"):  # fmt: skip
        assert words in text, words
    assert "c3.small.x86" in lines[2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h00"), (172_799, "47h59"), (172_800, "2d")],
)
def test_ages(seconds: float | None, text: str) -> None:
    from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.overview_table import duration

    assert duration(seconds) == text


def test_prices_as_a_table() -> None:
    lines = FILTERS["fleet_price_table"](look()["prices"])
    assert lines[2:] == [
        "c3.small.x86         am               0.12         0.75",
        "m3.large.x86         am                  ?         3.10",
    ]


def test_metrics_have_no_sample_of_what_is_not_known() -> None:
    text = FILTERS["fleet_metrics_text"](
        look(machine(1, builder_tags=["nixmetal-fleet=lab"], builder_plan="odd", age=None))
    )
    assert "nixmetal_fleet_cost_usd_per_hour" not in text
    assert "nixmetal_fleet_cost_at_most" not in text
    assert "machine_created" not in text
    assert 'nixmetal_fleet_cost_unknown_machines{fleet="lab"} 1\n' in text
    assert 'nixmetal_fleet_reading_timestamp_seconds{fleet="lab"} 1795521600\n' in text
    assert (
        'nixmetal_fleet_market_price_usd_per_hour{fleet="lab",provider="equinix_metal",plan="c3.small.x86",metro="am",kind="spot"} 0.125'
        in text
    )
    assert 'plan="m3.large.x86",metro="am",kind="spot"' not in text


def test_nobody_claims_of_an_unread_machine_whether_it_is_up() -> None:
    unread = machine(1, builder_host_key=None, builder_image_id=None, age=None)
    assert look(unread)["machines"][0]["coming_up"] is True
    found = look(unread, machine(2), unread=["m1"])
    assert [row["coming_up"] for row in found["machines"]] == [None, False]
    text = FILTERS["fleet_metrics_text"](found)
    assert 'machine_coming_up{fleet="lab",id="m1"' not in text
    assert 'machine_coming_up{fleet="lab",id="m2",state="active"} 0' in text
    lines = " ".join(" ".join(FILTERS["fleet_status_table"](found)).split())
    assert "what it says of itself could not be read" in lines
    assert "not heard of yet" not in lines


def test_metrics_of_machines() -> None:
    notice = {"request_id": None, "bid": None, "termination_time": "2026-11-24T12:02:00Z"}
    hosts = [drained(1, 'a"b\\c'), machine(2, builder_state="provisioning"), machine(3, builder_spot=notice)]
    text = FILTERS["fleet_metrics_text"](look(*hosts))
    assert 'nixmetal_fleet_machine_draining{fleet="lab",id="m1",owner="a\\"b\\\\c"} 1\n' in text
    assert 'nixmetal_fleet_machine_coming_up{fleet="lab",id="m2",state="provisioning"} 1\n' in text
    assert 'nixmetal_fleet_machine_coming_up{fleet="lab",id="m3",state="active"} 0\n' in text
    assert 'nixmetal_fleet_machine_termination_timestamp_seconds{fleet="lab",id="m3"} 1795521720\n' in text
    assert 'nixmetal_fleet_machines{fleet="lab",plan="c3.small.x86",location="am",state="active"} 2\n' in text


def test_targets() -> None:
    hosts = [
        machine(2, builder_address="2001:db8::1"),
        machine(1, builder_role="special"),
        machine(3, builder_address=None),
        machine(4, tags=("no-metrics",)),
        machine(5, builder_fleet="other"),
        machine(6, builder_port="x"),
    ]
    targets = FILTERS["fleet_scrape_targets"](hosts, 9100, "no-metrics", "lab")
    address = machine(1)["builder_address"]
    assert [(entry["targets"], entry["labels"]["role"]) for entry in targets] == [
        ([f"{address}:9100"], "special"), (["[2001:db8::1]:9100"], "builder")
    ]  # fmt: skip
    labels = {"plan": "c3.small.x86", "location": "am", "state": "active", "provider": "equinix_metal", "fleet": "lab"}
    assert targets[1]["labels"] == {**labels, "role": "builder", "id": "m2"}


RULES = CHECKOUT / "roles/fleet_metrics/files/alerts.yml"
SERIES = [
    ("nixmetal_fleet_reading_timestamp_seconds{fleet='lab'}", "0x2000"),
    ("nixmetal_fleet_machine_draining{fleet='lab', id='m1', owner='me'}", "1x1000"),
    ("nixmetal_fleet_machine_coming_up{fleet='lab', id='m2', state='provisioning'}", "1x1000"),
    ("nixmetal_fleet_machine_coming_up{fleet='lab', id='m3', state='active'}", "0x1000"),
    ("nixmetal_fleet_cost_at_most_usd_per_hour{fleet='lab'}", "1.81x1000"),
    ("nixmetal_fleet_ceiling_usd_per_hour{fleet='lab'}", "2x1000"),
    ("nixmetal_fleet_cost_unknown_machines{fleet='lab'}", "2x1000"),
]
# Minutes after the beginning, and what is on fire then.
ON_FIRE = {
    14: set(),
    29: {"FleetCeilingIsNear"},
    59: {"FleetCeilingIsNear", "FleetNotRead"},
    61: {"FleetCeilingIsNear", "FleetNotRead", "FleetMachineDoesNotComeUp", "FleetCostIsUnknown"},
    781: {"FleetCeilingIsNear", "FleetNotRead", "FleetMachineDoesNotComeUp", "FleetCostIsUnknown", "FleetDrainIsStuck"},
}


@pytest.mark.skipif(
    not PROMTOOL, reason="*** THE ALERT RULES ARE NOT CHECKED: there is no promtool (package prometheus) ***"
)
def test_promtool_accepts_rules_and_metrics(tmp_path: Path) -> None:
    subprocess.run([PROMTOOL, "check", "rules", str(RULES)], check=True, capture_output=True)
    hosts = [
        drained(1),
        machine(2, builder_spot={"request_id": None, "bid": None, "termination_time": "2026-11-24T12:02:00Z"}),
    ]
    text = FILTERS["fleet_metrics_text"](look(*hosts))
    subprocess.run([PROMTOOL, "check", "metrics"], input=text, text=True, check=True, capture_output=True)


@pytest.mark.skipif(
    not PROMTOOL, reason="*** THE ALERT RULES ARE NOT CHECKED: there is no promtool (package prometheus) ***"
)
def test_alerts_go_off_when_they_must(tmp_path: Path) -> None:
    names = sorted({name for on_fire in ON_FIRE.values() for name in on_fire} | {"FleetMetricsMissing"})
    cases: list[dict[str, Any]] = [
        {
            "eval_time": f"{minutes}m",
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) or vector(0)',
            "exp_samples": [],
        }
        for minutes in ON_FIRE
    ]
    for case, on_fire in zip(cases, ON_FIRE.values(), strict=True):
        case["exp_samples"] = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(on_fire)] + [
            {"labels": "{}", "value": 0}
        ]
    missing = {"interval": "1m", "input_series": [], "promql_expr_test": [
        {"eval_time": "31m", "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
         "exp_samples": [{"labels": '{alertname="FleetMetricsMissing"}', "value": 1}]}
    ]}  # fmt: skip
    series = [{"series": name.replace("'", '"'), "values": values} for name, values in SERIES]
    test = {"rule_files": [str(RULES)], "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": cases}, missing]}  # fmt: skip
    assert "FleetMetricsMissing" in names
    (tmp_path / "test.json").write_text(json.dumps(test), encoding="utf-8")
    run = subprocess.run(
        [PROMTOOL, "test", "rules", str(tmp_path / "test.json")], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
