# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every provider answers each verb as the contract says: the same questions, on the emulated cloud and on machines of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_buying import known_prices
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems

HERE = Path(__file__).resolve().parent
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
NOBODY = "00000000-0000-4000-8000-00000000dead"


class Provider:
    """A provider, two machines of the fleet and one that is not, and how to ask."""

    def __init__(self, fleet: Any, name: str, machine: str, second: str, foreign: str) -> None:
        self.fleet, self.name = fleet, name
        self.machine, self.second, self.foreign = machine, second, foreign

    def ask(self, *questions: tuple[str, dict[str, Any]], check: bool = False) -> list[dict[str, Any]]:
        kept = self.fleet.root / f"answers-{self.name}.json"
        variables = {
            "verbs_provider": self.name,
            "verbs_file": str(kept),
            "verbs_questions": [{"verb": verb, "request": request} for verb, request in questions],
        }
        self.play("verbs", variables, *(["--check"] if check else []))
        answers: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
        assert [answer["verb"] for answer in answers] == [verb for verb, _request in questions]
        for answer in answers:
            if "result" in answer:
                assert contract_problems(answer, "provider-verbs") == []
        return answers

    def market(self) -> dict[str, Any]:
        """What is for sale and live for a fleet that wants nothing of it."""
        kept = self.fleet.root / f"market-{self.name}.json"
        self.play("market", {"market_file": str(kept)})
        market: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return market

    def play(self, name: str, variables: dict[str, Any], *arguments: str) -> None:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.fleet.inventory)]
        done = subprocess.run(
            [*command, str(HERE / "providers" / f"{name}.yml"), "-e", json.dumps(variables), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def on_the_cloud(fleet: Any) -> Provider:
    def device(*tags: str) -> str:
        order = {
            "plan": "c3.small.x86",
            "metro": "am",
            "operating_system": "custom_ipxe",
            "ipxe_script_url": "http://192.0.2.1/x",
            "tags": [*tags, "hydra"],
        }
        made = fleet.api.post("/projects/7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b/devices", json=order)
        made.raise_for_status()
        return str(made.json()["id"])

    return Provider(fleet, "equinix_metal", device("nixmetal-fleet=ci"), device("nixmetal-fleet=ci"), device())


def of_ones_own(fleet: Any) -> Provider:
    (fleet.inventory / "metal_builders.yml").unlink()
    tags = fleet.root / "ssh_host" / "ci.json"
    tags.parent.mkdir()
    tags.write_text('{"schema": 1, "machines": {}}', encoding="utf-8")
    machine = {"address": "127.0.0.1", "host_key": KEY, "systems": ["x86_64-linux"], "max_jobs": 2, "tags": ["hydra"]}
    fleet.write(
        "ssh_builders.yml",
        {
            "plugin": "nixmetal.builders.ssh_builders",
            "fleet": "ci",
            "tags_command": ["cat", str(tags)],
            # The second one answers on no port, as a machine that hangs.
            "machines": {"rack1-a": machine, "rack1-b": {**machine, "port": 1}},
            "compose": {"ansible_connection": "'local' if builder_id == 'rack1-a' else 'ssh'"},
        },
    )
    settings = fleet.settings("") | {
        "ssh_host_tags_file": str(tags),
        "ssh_host_reboot_command": f"echo reboot >> {fleet.root}/asked",
        "ssh_host_power_off_command": f"echo off >> {fleet.root}/asked",
    }
    fleet.write("group_vars/all.yml", settings)
    return Provider(fleet, "ssh_host", "rack1-a", "rack1-b", "coordinator")


BOTH = [
    pytest.param(on_the_cloud, id="equinix_metal", marks=pytest.mark.long),
    pytest.param(of_ones_own, id="ssh_host"),
]


@pytest.fixture(params=BOTH, scope="module")
def provider(request: pytest.FixtureRequest, fleet: Any) -> Provider:
    made = request.param(fleet)
    assert isinstance(made, Provider)
    return made


def plain(value: Any) -> Any:
    """What ansible-inventory lists, without its marks of what it does not trust."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"]
            if "__ansible_unsafe" in value
            else {name: plain(part) for name, part in value.items()}
        )
    return [plain(part) for part in value] if isinstance(value, list) else value


def edit(verb: str, machines: dict[str, list[str]]) -> tuple[str, dict[str, Any]]:
    return verb, {"machines": machines}


def reboot(*devices: str) -> tuple[str, dict[str, Any]]:
    return "reboot", {"device_ids": list(devices)}


def question(verb: str, device: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return verb, {"device_id": device, **more}


def test_check_mode_foretells_and_changes_nothing(provider: Provider) -> None:
    answers = provider.ask(
        edit("tag", {provider.machine: ["skip-hydra"]}),
        reboot(provider.machine),
        question("power_off", provider.machine),
        question("terminate", provider.machine, fleet="ci"),
        check=True,
    )
    assert [answer["result"]["changed"] for answer in answers] == [True, True, True, True]
    assert answers[1]["result"]["asked"] == [provider.machine]
    assert "skip-hydra" in answers[0]["result"]["machines"][provider.machine]
    assert not os.path.exists(provider.fleet.root / "asked")


def test_each_verb_answers_by_the_contract_and_nobody_elses_machine_is_touched(provider: Provider) -> None:
    ours, foreign = provider.machine, provider.foreign
    tagged, again, second, untagged, absent, *answers = provider.ask(
        edit("tag", {ours: ["skip-hydra", "drained-by=alice"]}),
        edit("tag", {ours: ["skip-hydra"]}),
        edit("tag", {ours: ["skip-hydra"], provider.second: ["other"]}),
        edit("untag", {ours: ["skip-hydra", "drained-by=alice"]}),
        edit("untag", {ours: ["skip-hydra"]}),
        edit("tag", {ours: ["skip-hydra"], foreign: ["skip-hydra"]}),
        edit("untag", {NOBODY: ["skip-hydra"]}),
        question("power_off", foreign),
        question("terminate", foreign, fleet="ci"),
        question("terminate", ours, fleet="another"),
        reboot(foreign, ours, NOBODY),
        ("notices", {"fleet": "ci"}),
        question("console", ours, lines=20),
        ("list", {"fleet": "ci", "names": []}),
        ("offers", {"plans": ["c3.small.x86"], "metros": ["am"]}),
        ("offers", {"plans": [], "metros": []}),
    )
    assert tagged["result"]["changed"]
    assert {"hydra", "skip-hydra", "drained-by=alice"} <= set(tagged["result"]["machines"][ours])
    assert not again["result"]["changed"]
    assert "other" in second["result"]["machines"][provider.second]
    assert untagged["result"]["changed"]
    assert set(tagged["result"]["machines"][ours]) - set(untagged["result"]["machines"][ours]) == {
        "skip-hydra",
        "drained-by=alice",
    }
    assert not absent["result"]["changed"]
    refused, answered = answers[:5], answers[5:]
    assert ["refused" in answer for answer in refused] == [True] * 5
    # Each refusal names the machine, or the fleet that was asked for.
    for answer, word in zip(refused, [foreign, NOBODY, foreign, foreign, "another"], strict=True):
        assert word in answer["refused"]
    assert [answer.get("refused") for answer in answered] == [None] * 6
    assert (answered[0]["result"]["asked"], answered[0]["result"]["changed"]) == ([ours], True)
    assert set(answered[0]["result"]["refused"]) == {foreign, NOBODY}
    assert all(name in why for name, why in answered[0]["result"]["refused"].items())
    assert answered[1]["result"] == {"notices": []}
    assert answered[3]["result"]["requests"] == []
    # Who asks for nothing gets the kinds, and no list of all that there is.
    assert answered[5]["result"] == {
        "offers": [],
        "unknown_plans": [],
        "unknown_metros": [],
        "kinds": answered[4]["result"]["kinds"],
    }


def test_what_own_machines_cost_is_known_while_none_is_rented_and_no_plan_is_known(provider: Provider) -> None:
    if provider.name != "ssh_host":
        pytest.skip("Equinix Metal's machines have plans")
    offers = provider.market()["offers"]
    assert offers["ssh_host"]["kinds"] == []
    own = [{"builder_id": name, "builder_provider": "ssh_host"} for name in (provider.machine, provider.second)]
    assert known_prices(own, offers, {}) == {"rack1-a": 0, "rack1-b": 0}


def test_power_off_is_asked_for(provider: Provider) -> None:
    (answer,) = provider.ask(question("power_off", provider.machine))
    assert answer["result"] == {"device_id": provider.machine, "changed": True}


def test_terminate_is_done_once(provider: Provider) -> None:
    first, second, far = provider.ask(
        question("terminate", provider.machine, fleet="ci"),
        question("terminate", provider.machine, fleet="ci"),
        question("terminate", provider.second, fleet="ci"),
    )
    assert first["result"]["changed"]
    assert "refused" in second or not second["result"]["changed"]
    assert far["result"]["changed"]


def test_a_strangers_machine_is_as_it_was(provider: Provider) -> None:
    if provider.name != "equinix_metal":
        pytest.skip("nobody else has machines there")
    device = provider.fleet.api.get(f"/devices/{provider.foreign}").json()
    assert device["tags"] == ["hydra"]
    assert device["state"] in ("queued", "provisioning", "active")


def test_own_machines_were_asked_and_are_out_of_service(provider: Provider) -> None:
    """What ssh_host leaves behind: the machine's own orders, and states that no build goes to."""
    if provider.name != "ssh_host":
        pytest.skip("Equinix Metal's machines are gone")
    assert (provider.fleet.root / "asked").read_text(encoding="utf-8").split() == ["reboot", "off", "off"]
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "inventory", "-i", str(provider.fleet.inventory), "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    variables = plain(json.loads(done.stdout)["_meta"]["hostvars"])
    for name in ("rack1-a", "rack1-b"):
        assert variables[name]["builder_state"] == "inactive"
        assert variables[name]["builder_tags"][0] == "hydra"
        assert contract_problems(variables[name], "builder-facts") == []
    assert variables["coordinator"]["builders_reading"]["count"] == 2


def test_what_own_machines_cannot_do_is_said(provider: Provider) -> None:
    if provider.name != "ssh_host":
        pytest.skip("Equinix Metal can")
    bid = {
        "name": "small",
        "kind": "spot",
        "plan": "x",
        "metro": "am",
        "count": 1,
        "max_bid_usd_per_hour": 1,
        "boot_url": "http://192.0.2.1/x",
        "tags": [],
        "hostname": "x",
    }
    created, ended, fixed, unreachable = provider.ask(
        ("create", {"fleet": "ci", "bid": bid, "wait": False, "wait_timeout": 1}),
        ("end", {"fleet": "ci", "request_id": "r1", "terminate_machines": False}),
        edit("untag", {provider.machine: ["hydra"]}),
        reboot(provider.second, provider.machine),
    )
    assert "take the bid small out of spot_fleet_bids" in created["refused"]
    assert "use the verb terminate" in ended["refused"]
    assert "hydra of rack1-a is declared in the inventory" in fixed["refused"]
    assert list(unreachable["result"]["refused"]) == ["rack1-b"]
    assert "rack1-b could not be asked over SSH: " in unreachable["result"]["refused"]["rack1-b"]
    assert "administrator's login" in unreachable["result"]["refused"]["rack1-b"]
    # It did not keep the other.
    assert (unreachable["result"]["asked"], unreachable["result"]["changed"]) == (["rack1-a"], True)
    assert (provider.fleet.root / "asked").read_text(encoding="utf-8").split() == ["reboot", "off", "off", "reboot"]
