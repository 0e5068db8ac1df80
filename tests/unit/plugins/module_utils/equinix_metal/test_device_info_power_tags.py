# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power, tags, and what the info modules tell."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    catalogue_info,
    device_info,
    device_power,
    device_tags,
    device_tasks,
    errors,
    spot_tasks,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import (
    CAPACITY_INFO_OPTIONS,
    DEVICE_EVENT_INFO_OPTIONS,
    DEVICE_INFO_OPTIONS,
    DEVICE_OPTIONS,
    DEVICE_POWER_OPTIONS,
    DEVICE_TAGS_OPTIONS,
    METRO_INFO_OPTIONS,
    PLAN_INFO_OPTIONS,
    SPOT_PRICE_INFO_OPTIONS,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Failure

MACHINE = {
    "fleet": "lab",
    "name": "one",
    "plan": "c3.small.x86",
    "metros": ["am"],
    "ipxe_script_url": "http://web.test/x.ipxe",
    "hostname": "builder",
}


def defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {name: spec.get("default") for name, spec in options.items()}


@pytest.fixture
def device_id(api) -> str:
    made = device_tasks.apply(api.client(), {**defaults(DEVICE_OPTIONS), **MACHINE, "wait": True}, False)
    return str(made["device_ids"][0])


@pytest.fixture
def power(api, device_id):
    def run(state: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        given = {**defaults(DEVICE_POWER_OPTIONS), "fleet": "lab", "device_ids": [device_id], "state": state, **options}
        told = device_power.apply(api.client(), given, check_mode)
        return {**told, **told["machines"][device_id]}

    return run


@pytest.fixture
def tag(api, device_id):
    def run(*tags: str, state: str = "present", check_mode: bool = False, **options: Any) -> dict[str, Any]:
        given = {**defaults(DEVICE_TAGS_OPTIONS), "fleet": "lab", "machines": {device_id: list(tags)}}
        told = device_tags.apply(api.client(), {**given, "state": state, **options}, check_mode)
        return {**told, "tags": told["machines"][device_id]}

    return run


def actions(api: Any) -> list[Any]:
    return [call.body["type"] for call in api.posts() if call.path.endswith("/actions")]


def test_off_and_on_are_states(power, api) -> None:
    assert power("off", check_mode=True)["changed"] is True
    assert actions(api) == []
    assert (power("off")["device_state"], power("off")["changed"]) == ("inactive", False)
    assert (power("on")["device_state"], power("on")["changed"]) == ("active", False)
    assert actions(api) == ["power_off", "power_on"]


@pytest.mark.parametrize(
    ("state", "call"), [("rebooted", "reboot"), ("rescued", "rescue"), ("reinstalled", "reinstall")]
)
def test_starting_anew_waits_for_the_next_request_for_an_address(power, api, device_id, state, call) -> None:
    before = len(api.cloud.events.of_device(device_id))
    told = power(state)
    assert (told["changed"], told["device_state"], actions(api)) == (True, "active", [call])
    kinds = [event.type for event in api.cloud.events.of_device(device_id)]
    assert "provisioning.104.01" in kinds[: len(kinds) - before]
    assert told["diff"]["before"] != told["diff"]["after"]


def test_a_reboot_that_does_not_begin_is_told(power, api, device_id, monkeypatch) -> None:
    monkeypatch.setattr(api.cloud.backend, "reset", lambda _device: None)
    with pytest.raises(
        errors.MetalError,
        match=f"machine {device_id} was asked to reboot; after 60 seconds it is active, and its latest",
    ):
        power("rebooted", wait_timeout=60)


def test_a_request_that_was_heard_is_none_that_failed(power, api) -> None:
    """Whoever is told that it failed asks again, while the machine goes down."""

    def spoil(call: Any) -> Any:
        return Failure("reset", sent=False) if actions(api) and call.method == "GET" else None

    api.spoil = spoil
    told = power("rebooted", wait=False)
    assert (told["changed"], told["device_state"], actions(api)) == (True, "active", ["reboot"])
    with pytest.raises(errors.MetalError):
        power("rebooted", wait=False)
    assert actions(api) == ["reboot"]


def test_a_request_that_was_heard_is_told_as_one_by_a_failure_too(power, api, device_id) -> None:
    api.spoil = lambda call: Failure("reset", sent=False) if actions(api) and call.method == "GET" else None
    with pytest.raises(errors.Refused) as failed:
        power("rebooted")
    known = failed.value.known
    assert (known["changed"], known["machines"][device_id]["asked"], actions(api)) == (True, True, ["reboot"])
    assert list(known["failures"]) == [device_id]


def test_the_state_is_that_which_was_seen_last(power, api, device_id, monkeypatch) -> None:
    def fail(device: Any) -> None:
        api.cloud.store.devices[device.id].state = "failed"

    monkeypatch.setattr(api.cloud.backend, "reset", fail)
    with pytest.raises(errors.Refused, match="it has failed") as failed:
        power("rebooted")
    assert failed.value.known["machines"][device_id]["device_state"] == "failed"


def test_check_mode_foretells_the_end_of_what_is_under_way(power, api, device_id) -> None:
    api.cloud.store.devices[device_id].state = "powering_on"
    told = power("on", check_mode=True)
    assert (told["changed"], told["device_state"], actions(api)) == (False, "active", [])


def test_a_lost_answer_to_an_action_is_looked_for(power, api) -> None:
    def spoil(call: Any) -> Any:
        if call.path.endswith("/actions"):
            api.reach(call)
            return Failure("reset", sent=True)
        return None

    api.spoil = spoil
    assert power("rebooted")["changed"] is True
    assert actions(api) == ["reboot"]


def test_an_action_that_does_not_show_is_not_sent_again(power, api) -> None:
    api.spoil = lambda call: Failure("reset", sent=True) if call.path.endswith("/actions") else None
    with pytest.raises(
        errors.MetalError, match="nothing of it shows after 30 seconds, and nothing was sent again"
    ) as doubt:
        power("rebooted")
    assert doubt.value.known["machines"] == {}, "nobody knows whether it was asked"
    assert actions(api) == ["reboot"]


def test_impossible_actions_are_refused(power) -> None:
    power("off")
    with pytest.raises(errors.Refused, match="is inactive, and reboot is possible only when it is active"):
        power("rebooted")
    with pytest.raises(errors.SettingError, match="operating_system can be given with state=reinstalled alone"):
        power("on", operating_system="debian_12")
    with pytest.raises(errors.Refused, match="not proved to belong to the fleet other"):
        power("on", fleet="other")
    with pytest.raises(errors.Refused, match="There is no machine"):
        power("on", device_ids=["00000000-0000-4000-8000-000000000000"])


def test_reinstall_takes_a_script(power, api, device_id) -> None:
    power("reinstalled", ipxe_script_url="http://web.test/other.ipxe")
    assert api.cloud.store.devices[device_id].ipxe_script_url == "http://web.test/other.ipxe"


def test_tags_are_added_and_removed_beside_others(tag, api, device_id) -> None:
    before = list(api.cloud.store.devices[device_id].tags)
    assert tag("skip-hydra=a", check_mode=True)["tags"] == [*before, "skip-hydra=a"]
    assert api.cloud.store.devices[device_id].tags == before
    assert (tag("skip-hydra=a")["changed"], tag("skip-hydra=a")["changed"]) == (True, False)
    removed = tag("skip-hydra=a", state="absent")
    assert (removed["changed"], removed["tags"]) == (True, before)
    assert tag("skip-hydra=a", state="absent")["changed"] is False


def test_a_tag_that_another_writer_has_lost_for_us_is_written_again(tag, api, device_id) -> None:
    """The other one had read before we wrote, and writes afterwards."""
    device = api.cloud.store.devices[device_id]
    stale, rounds = list(device.tags), []

    def sleep(seconds: float) -> None:
        if len(rounds) < 2:
            rounds.append(seconds)
            device.tags = [*stale, "other"]
        api.cloud.advance(seconds)

    api.sleep = sleep
    assert set(tag("ours")["tags"]) == {*stale, "other", "ours"}
    assert len([call for call in api.calls if call.method == "PUT"]) == 3


def test_a_writer_who_never_stops_is_told(tag, api, device_id) -> None:
    device = api.cloud.store.devices[device_id]
    stale = list(device.tags)

    def sleep(seconds: float) -> None:
        device.tags = list(stale)
        api.cloud.advance(seconds)

    api.sleep = sleep
    with pytest.raises(errors.Refused, match=r"not as wanted after 6 tries\. Someone else keeps writing"):
        tag("ours")


def test_a_lost_answer_to_a_write_is_read_again(tag, api) -> None:
    def spoil(call: Any) -> Any:
        if call.method == "PUT":
            api.reach(call)
            return Failure("reset", sent=True)
        return None

    api.spoil = spoil
    assert "ours" in tag("ours")["tags"]
    assert len([call for call in api.calls if call.method == "PUT"]) == 1


@pytest.mark.parametrize("word", ["nixmetal-fleet=x", "nixmetal-bid=x", "nixmetal-order=x", "", " a"])
def test_tags_of_ownership_and_senseless_ones_are_refused(tag, word) -> None:
    with pytest.raises(errors.SettingError, match="machines: "):
        tag(word)


@pytest.mark.parametrize("tags", ["skip-hydra", None, [1], {"a": "b"}])
def test_what_is_no_list_of_tags_is_refused(tag, device_id, tags) -> None:
    with pytest.raises(errors.SettingError, match="machines: each id has a list of tags"):
        tag("a", machines={device_id: tags})


@pytest.fixture
def pair(api) -> list[str]:
    given = {**defaults(DEVICE_OPTIONS), **MACHINE, "name": "pair", "count": 2, "wait": True}
    return [str(name) for name in device_tasks.apply(api.client(), given, False)["device_ids"]]


def switch_each(api: Any, device_ids: list[str], state: str, **options: Any) -> dict[str, Any]:
    given = {**defaults(DEVICE_POWER_OPTIONS), "fleet": "lab", "device_ids": device_ids, "state": state, **options}
    return device_power.apply(api.client(), given, False)


def test_several_machines_are_asked_before_the_first_is_waited_for(api, pair) -> None:
    told = switch_each(api, [*pair, pair[0]], "rebooted")
    assert [(one["asked"], one["device_state"]) for one in told["machines"].values()] == [(True, "active")] * 2
    assert (list(told["machines"]), told["failures"], actions(api)) == (pair, {}, ["reboot"] * 2)
    made = [call.path for call in api.calls]
    asked = [place for place, path in enumerate(made) if path.endswith("/actions")]
    between = made[asked[0] + 1 : asked[1]]
    # One look at each: at the first after it was asked, at the second before.
    assert [path.split("/")[2] for path in between if path.count("/") == 2] == pair
    assert [told["diff"][when][pair[1]]["restarts"] for when in ("before", "after")] == [0, 1]
    assert switch_each(api, pair, "on")["changed"] is False
    assert switch_each(api, [], "off")["machines"] == {}


def test_a_machine_that_is_refused_does_not_keep_the_others(api, pair, device_id) -> None:
    switch_each(api, [pair[0]], "off")
    nobody = "00000000-0000-4000-8000-00000000dead"
    with pytest.raises(errors.Refused) as refused:
        switch_each(api, [pair[0], nobody, pair[1]], "rebooted", wait=False)
    known = refused.value.known
    assert (known["changed"], list(known["machines"])) == (True, [pair[1]])
    assert list(known["failures"]) == [pair[0], nobody]
    assert "is inactive, and reboot is possible only when it is active" in known["failures"][pair[0]]
    assert all(reason in str(refused.value) for reason in known["failures"].values())
    assert actions(api) == ["power_off", "reboot"]


def test_the_time_to_wait_is_that_of_all_machines_and_who_does_not_come_is_named(api, pair, monkeypatch) -> None:
    reset = api.cloud.backend.reset
    monkeypatch.setattr(api.cloud.backend, "reset", lambda device: None if device.id == pair[0] else reset(device))
    begin = api.cloud.clock.now()
    with pytest.raises(errors.Refused, match=f"machine {pair[0]} was asked to reboot; after 60 seconds") as refused:
        switch_each(api, pair, "rebooted", wait_timeout=60)
    known = refused.value.known
    assert (list(known["failures"]), list(known["machines"])) == ([pair[0]], pair)
    assert known["machines"][pair[1]]["booted_at"] > known["machines"][pair[0]]["booted_at"]
    monkeypatch.setattr(api.cloud.backend, "reset", lambda _device: None)
    with pytest.raises(errors.Refused) as refused:
        switch_each(api, pair, "rebooted", wait_timeout=60)
    assert list(refused.value.known["failures"]) == pair
    assert api.cloud.clock.now() - begin < 200


def test_an_id_that_is_none_is_refused_before_any_machine_is_asked(api, pair) -> None:
    with pytest.raises(errors.SettingError, match=r"device_ids is not the id \(UUID\) of a device: 'a b'"):
        switch_each(api, [pair[0], "a b"], "rebooted")
    assert actions(api) == []


def test_an_api_that_hangs_does_not_hold_a_call_for_ever(api, pair) -> None:
    """Its caller may hold a lock that somebody breaks meanwhile."""
    third = [*pair, "00000000-0000-4000-8000-00000000dead"]

    def spoil(call: Any) -> Any:
        if call.path.endswith("/actions"):
            api.sleep(400.0)
        return None

    api.spoil = spoil
    with pytest.raises(errors.Refused, match=f"{third[2]} was not asked: those before it took more than 600") as told:
        switch_each(api, third, "rebooted", wait=False)
    assert (list(told.value.known["machines"]), list(told.value.known["failures"])) == (pair, third[2:])


def tag_each(api: Any, machines: dict[str, list[str]], **options: Any) -> dict[str, Any]:
    return device_tags.apply(
        api.client(), {**defaults(DEVICE_TAGS_OPTIONS), "fleet": "lab", "machines": machines, **options}, False
    )


def test_several_machines_are_tagged_in_one_call_and_each_waits_with_the_others(api, pair) -> None:
    pauses: list[float] = []
    sleep = api.sleep
    api.sleep = lambda seconds: (pauses.append(seconds), sleep(seconds))
    told = tag_each(api, {pair[0]: ["one", "both"], pair[1]: ["two", "both"]})
    assert [told["machines"][name][-2:] for name in pair] == [["one", "both"], ["two", "both"]]
    assert len(pauses) == 1
    assert told["diff"]["before"][pair[0]] == told["machines"][pair[0]][:-2]
    again = tag_each(api, {pair[0]: ["one"], pair[1]: ["new"]})
    assert (again["changed"], [call.path for call in api.calls if call.method == "PUT"][-1]) == (
        True,
        f"/devices/{pair[1]}",
    )
    assert tag_each(api, {pair[0]: ["one"], pair[1]: ["two"]})["changed"] is False
    lifted = tag_each(api, {name: ["both", "never"] for name in pair}, state="absent")
    assert [("both" in lifted["machines"][name], len(lifted["machines"])) for name in pair] == [(False, 2)] * 2


@pytest.mark.parametrize("stranger", ["gone", "of another fleet"])
def test_when_one_machine_is_refused_none_is_changed(api, pair, stranger) -> None:
    name = "00000000-0000-4000-8000-00000000dead"
    if stranger != "gone":
        other = {**defaults(DEVICE_OPTIONS), **MACHINE, "fleet": "other", "name": "theirs", "wait": True}
        name = str(device_tasks.apply(api.client(), other, False)["device_ids"][0])
    with pytest.raises(errors.Refused, match=name):
        tag_each(api, {pair[0]: ["x"], pair[1]: ["x"], name: ["x"]})
    assert [call for call in api.calls if call.method == "PUT"] == []


def test_each_machine_whose_tags_somebody_else_keeps_writing_is_named(api, pair) -> None:
    device = api.cloud.store.devices[pair[1]]
    stale = list(device.tags)

    def sleep(seconds: float) -> None:
        device.tags = list(stale)
        api.cloud.advance(seconds)

    api.sleep = sleep
    with pytest.raises(errors.Refused, match=f"The tags of the machine {pair[1]} are not as wanted") as refused:
        tag_each(api, {pair[0]: ["x"], pair[1]: ["x"]})
    assert pair[0] not in str(refused.value)


def test_a_foreign_machine_keeps_its_tags(tag) -> None:
    with pytest.raises(errors.Refused, match="not proved to belong to the fleet other"):
        tag("a", fleet="other")


# -- info --------------------------------------------------------------------------------------------


def test_devices_are_listed_with_a_query(api, device_id) -> None:
    given = {**defaults(DEVICE_INFO_OPTIONS), "fleet": "lab", "query": "[?contains(tags, 'nixmetal-bid=one')].id"}
    told = device_info.inform(api.client(), given)
    assert (told["query_result"], told["devices"][0]["fleet"]) == ([device_id], "lab")
    assert "root_password" not in str(told)
    for option in ({"fleet": "other"}, {"hostname": "x"}, {"tags": ["x"]}, {"device_ids": ["x"]}):
        assert device_info.inform(api.client(), {**defaults(DEVICE_INFO_OPTIONS), **option})["devices"] == []
    assert device_info.inform(api.client(), {**given, "device_ids": ["x"]})["unknown_device_ids"] == ["x"]


@pytest.mark.parametrize("expression", ["[?", "contains(@)", "sum([0].id)"])
def test_a_senseless_query_is_told(api, device_id, expression) -> None:
    with pytest.raises(errors.SettingError, match="query is not a JMESPath expression that can be applied here"):
        device_info.inform(api.client(), {**defaults(DEVICE_INFO_OPTIONS), "query": expression})


def test_events_are_listed_newest_first(api, device_id) -> None:
    given = {**defaults(DEVICE_EVENT_INFO_OPTIONS), "device_id": device_id}
    told = device_info.inform_of_events(api.client(), given)["events"]
    assert [event["type"] for event in told][-3:] == ["provisioning.103", "provisioning.102", "provisioning.101"]
    one = device_info.inform_of_events(api.client(), {**given, "types": ["user.1001", "user.1002"], "limit": 1})
    assert [event["type"] for event in one["events"]] == ["user.1002"]
    with pytest.raises(errors.Refused, match="There is no machine"):
        device_info.inform_of_events(api.client(), {**given, "device_id": "x"})
    with pytest.raises(errors.SettingError, match="limit"):
        device_info.inform_of_events(api.client(), {**given, "limit": 0})


def test_the_catalogue_is_told(api) -> None:
    plans = catalogue_info.inform_of_plans(
        api.client(), {**defaults(PLAN_INFO_OPTIONS), "plans": ["C3.large.arm64", "none"], "query": "[0].metros"}
    )
    assert (plans["query_result"], plans["unknown_plans"]) == (["da", "dc", "ny", "sv"], ["none"])
    assert plans["plans"][0]["class"] == "c3.large.arm"
    metros = catalogue_info.inform_of_metros(api.client(), {**defaults(METRO_INFO_OPTIONS), "metros": ["AM", "zz"]})
    assert (metros["metros"][0]["name"], metros["unknown_metros"]) == ("Amsterdam", ["zz"])


def test_capacity_is_told_and_asked_for(api) -> None:
    given = {**defaults(CAPACITY_INFO_OPTIONS), "plans": ["c3.small.x86"], "metros": ["am", "da"], "quantity": 1001}
    told = catalogue_info.inform_of_capacity(api.client(), given)["capacity"]
    assert [(entry["metro"], entry["available"], entry["available_servers"]) for entry in told] == [
        ("am", False, 1000),
        ("da", False, 1000),
    ]
    assert catalogue_info.inform_of_capacity(api.client(), {**given, "quantity": 2})["capacity"][0]["available"] is True
    with pytest.raises(errors.SettingError, match="quantity"):
        catalogue_info.inform_of_capacity(api.client(), {**given, "quantity": 0})


def test_prices_are_told_with_capacity_and_history(api) -> None:
    given = {**defaults(SPOT_PRICE_INFO_OPTIONS), "plans": ["c3.small.x86"], "metros": ["am"]}
    (today,) = catalogue_info.inform_of_prices(api.client(), given)["prices"]
    assert (today["spot_price_usd_per_hour"], today["on_demand_price_usd_per_hour"]) == (0.23, 0.75)
    assert (today["capacity_level"], today["available_servers"], "history" in today) == ("normal", 1000, False)
    since = {"history_from": "2023-11-14T21:00:00Z", "history_until": "2023-11-14T22:00:00Z"}
    (told,) = catalogue_info.inform_of_prices(api.client(), {**given, **since})["prices"]
    assert told["history"][0] == {"at": "2023-11-14T21:00:00Z", "price_usd_per_hour": 0.23}
    assert len(told["history"]) > 1
    with pytest.raises(errors.SettingError, match="history_from"):
        catalogue_info.inform_of_prices(api.client(), {**given, "history_from": "x"})


def test_requests_are_asked_for(api) -> None:
    told = spot_tasks.inform(api.client(), {"fleet": None, "names": [], "query": "length(@)"})
    assert told["query_result"] == 0
