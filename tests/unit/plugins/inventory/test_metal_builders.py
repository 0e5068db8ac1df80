# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory: every machine a host of its own, complete or not announced, and nothing believed that was not said first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

NAME = "nixmetal.builders.metal_builders"
PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "tok-0123456789"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqT"
CONTRACTS = Path(__file__).parents[4] / "docs" / "contracts"

IDS = ["5a1f0a5e-0000-4000-8000-000000000001", "5a1f0a5e-0000-4000-8000-000000000002"]


def device(device_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": device_id,
        "hostname": "builder",
        "state": "active",
        "tags": ["hydra", "nixmetal-fleet=lab", "nixmetal-bid=small"],
        "created_at": "2026-11-23T03:00:00Z",
        "plan": {"slug": "c3.small.x86"},
        "metro": {"code": "am"},
        "spot_instance": True,
        "root_password": "hush-hush",
        "ip_addresses": [{"address": f"203.0.113.{device_id[-1]}", "address_family": 4, "public": True}],
        **changes,
    }


def events(**description: Any) -> list[dict[str, Any]]:
    keys = json.dumps([{"system": "x86_64-linux", "port": 22, "key": KEY}])
    said = {"system_types": ["x86_64-linux"], "max_jobs": 2, "features": [], **description}
    return [
        {"type": "user.1002", "body": json.dumps(said), "created_at": "2026-11-23T03:02:02Z"},
        {"type": "user.1001", "body": keys, "created_at": "2026-11-23T03:02:01Z"},
        {
            "type": "provisioning.104.01",
            "body": "Device connected to DHCP system",
            "created_at": "2026-11-23T03:01:00Z",
        },
    ]


class Api:
    """As much of the API as the inventory reads."""

    def __init__(self) -> None:
        self.devices = [device(device_id) for device_id in IDS]
        self.events = {device_id: events() for device_id in IDS}
        self.requests = [{"id": "r1", "devices": [{"id": IDS[0]}], "max_bid_price": 1}]
        self.broken: dict[str, tuple[int, bytes]] = {}
        self.seen: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def do_GET(self) -> None:
                outer.seen.append(self.path)
                status, body = outer.answer(self.path, self.headers.get("X-Auth-Token"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/metal/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        parts = urlsplit(path)
        for ending, outcome in self.broken.items():
            if parts.path.endswith(ending):
                return outcome
        if token != TOKEN:
            return 401, b'{"errors": ["Invalid authentication token"]}'
        return 200, json.dumps(self._body(parts.path, parse_qs(parts.query))).encode()

    def _body(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if path.endswith("/spot-market-requests"):
            return {"spot_market_requests": self.requests}
        key = "events" if path.endswith("/events") else "devices"
        items: list[Any] = self.events[path.split("/")[-2]] if key == "events" else self.devices
        if "tag" in query:
            items = [item for item in items if query["tag"][0] in item["tags"]]
        page, size = int(query["page"][0]), int(query["per_page"][0])
        last = max(1, -(-len(items) // size))
        following = {"href": f"/projects/x?page={page + 1}"} if page < last else None
        meta = {"total": len(items), "current_page": page, "last_page": last, "next": following}
        return {key: items[(page - 1) * size : page * size], "meta": meta}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.http.shutdown()
    made.http.server_close()


Parse = Callable[..., InventoryData]


@pytest.fixture
def parse(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parse:
    for name in ("METAL_API_URL", "METAL_AUTH_TOKEN", "METAL_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)

    def run(use_cache: bool = True, into: InventoryData | None = None, **options: Any) -> InventoryData:
        path = tmp_path / "metal_builders.yml"
        settings = {"metal_api_url": api.url, "metal_auth_token": TOKEN, "project_id": PROJECT, "metal_api_tries": 1}
        path.write_text(yaml.safe_dump({"plugin": NAME, **settings, **options}), encoding="utf-8")
        inventory, plugin = into or InventoryData(), inventory_loader.get(NAME)
        assert plugin.verify_file(str(path))
        plugin.parse(inventory, DataLoader(), str(path), use_cache)
        if options.get("cache"):
            plugin.update_cache_if_changed()
        inventory.reconcile_inventory()
        return inventory

    return run


def check_contract(name: str, value: Any) -> None:
    contract = json.loads((CONTRACTS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(contract, format_checker=jsonschema.FormatChecker()).validate(value)


def reading(inventory: InventoryData) -> Any:
    return inventory.groups["all"].get_vars().get("builders_reading")


def variables(inventory: InventoryData, host: str = IDS[0]) -> dict[str, Any]:
    return dict(inventory.hosts[host].get_vars())


def test_two_machines_with_one_hostname_are_two_hosts(parse: Parse) -> None:
    inventory = parse()
    assert sorted(inventory.hosts) == IDS
    assert sorted(host.name for host in inventory.groups["builders"].get_hosts()) == IDS
    known = variables(inventory)
    check_contract("builder-facts", known)
    assert (known["builder_hostname"], known["ansible_host"], known["ansible_user"]) == (
        "builder",
        "203.0.113.1",
        "root",
    )
    assert known["builder_host_key"] == KEY
    assert known["builder_unavailable_reason"] is None
    assert known["builder_spot"]["request_id"] == "r1"
    assert variables(inventory, IDS[1])["builder_spot"]["request_id"] is None


def test_a_complete_reading_says_so(parse: Parse, api: Api) -> None:
    told = reading(parse())
    check_contract("builders-reading", told)
    assert (told["count"], told["project"], told["source"]) == (2, PROJECT, f"metal_builders {api.url}")


@pytest.mark.parametrize("first", ["good", "empty", "failing"])
@pytest.mark.parametrize("second", ["good", "failing"])
def test_of_two_sources_no_reading_counts(parse: Parse, api: Api, first: str, second: str) -> None:
    inventory = InventoryData()
    if first == "failing":
        with pytest.raises(AnsibleParserError, match="Invalid authentication token"):
            parse(into=inventory, metal_auth_token="wrong-token")
    else:
        parse(into=inventory, **({"fleet": "nobodys"} if first == "empty" else {}))
        assert reading(inventory) is not None
    with pytest.raises(AnsibleParserError, match="is not the only source of builders"):
        parse(into=inventory, **({"metal_auth_token": "wrong-token"} if second == "failing" else {}))
    assert reading(inventory) is None


def test_hosts_that_others_put_among_the_builders_are_refused(parse: Parse) -> None:
    inventory = InventoryData()
    inventory.add_group("builders")
    inventory.add_group("more")
    inventory.add_child("builders", "more")
    parse(into=inventory)
    inventory = InventoryData()
    inventory.add_group("builders")
    inventory.add_host("by-hand", group="builders")
    with pytest.raises(AnsibleParserError, match="group builders had hosts"):
        parse(into=inventory)
    assert reading(inventory) is None


@pytest.mark.parametrize("fleet", ["", "Lab", "{{ '' }}"])
def test_an_empty_fleet_is_a_mistake_and_not_the_whole_project(parse: Parse, fleet: str) -> None:
    with pytest.raises(AnsibleParserError, match="fleet must be"):
        parse(fleet=fleet)


def test_no_machines_is_a_complete_reading(parse: Parse, api: Api) -> None:
    api.devices = []
    inventory = parse()
    assert inventory.hosts == {}
    assert reading(inventory)["count"] == 0
    assert "builders" in inventory.groups


@pytest.mark.parametrize(
    "outcome", [(500, b""), (503, b"<html>"), (200, b"<html>"), (200, b"[]"), (200, b'{"devices": [{}'), (302, b"")]
)
@pytest.mark.parametrize("ending", ["/devices", "/spot-market-requests"])
def test_an_api_that_fails_raises_and_lists_nothing(
    parse: Parse, api: Api, ending: str, outcome: tuple[int, bytes]
) -> None:
    api.broken[ending] = outcome
    with pytest.raises(AnsibleParserError, match=ending) as caught:
        parse()
    assert NAME in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_wrong_token_and_an_unreachable_endpoint_name_the_setting(parse: Parse) -> None:
    with pytest.raises(AnsibleParserError, match=r"401: Invalid authentication token\. Check metal_auth_token"):
        parse(metal_auth_token="wrong-token")
    with pytest.raises(AnsibleParserError, match="Check metal_api_url"):
        parse(metal_api_url="http://127.0.0.1:9")


@pytest.mark.parametrize("option", ["metal_api_url", "metal_auth_token", "project_id"])
def test_a_missing_setting_is_named_with_its_variable(parse: Parse, option: str) -> None:
    with pytest.raises(AnsibleParserError, match=f"set the option {option} or the environment variable METAL_"):
        parse(**{option: ""})


def test_settings_come_from_the_environment_and_from_templates(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKET_AUTH_TOKEN", TOKEN)
    assert reading(parse(metal_auth_token=None, project_id="{{ '7d1b3f0e' }}"))["project"] == "7d1b3f0e"


def test_a_machine_whose_events_cannot_be_read_is_named_by_the_reading(parse: Parse, api: Api) -> None:
    api.broken[f"/{IDS[0]}/events"] = (500, b"")
    inventory = parse()
    assert sorted(inventory.hosts) == IDS
    assert reading(inventory)["unread"] == [IDS[0]]
    check_contract("builders-reading", reading(inventory))
    assert variables(inventory)["builder_booting"] is None
    assert "could not be read" in variables(inventory)["builder_unavailable_reason"]
    assert variables(inventory, IDS[1])["builder_unavailable_reason"] is None


@pytest.mark.parametrize("change", [{"state": None}, {"tags": None}, {"termination_time": "soon"}])
def test_a_machine_that_is_not_told_whole_lists_nothing(parse: Parse, api: Api, change: dict[str, Any]) -> None:
    api.devices[1].update(change)
    with pytest.raises(AnsibleParserError, match=f"makes no sense of the device {IDS[1]}"):
        parse()


def test_no_address_is_an_option_of_ssh(parse: Parse, api: Api) -> None:
    with pytest.raises(AnsibleParserError, match="address_name gives no name of a host"):
        parse(address_name="'-oProxyCommand=x'")
    api.devices[1]["ip_addresses"][0]["address"] = "-oProxyCommand=x"
    with pytest.raises(AnsibleParserError, match="address that makes no sense"):
        parse()


def test_a_machine_that_posts_events_without_an_end_hides_itself_alone(parse: Parse, api: Api) -> None:
    api.events[IDS[0]] = [{"type": "user.7", "created_at": "2026-11-23T04:00:00Z"}] * 2100 + events()
    inventory = parse()
    assert reading(inventory)["count"] == 2
    assert "more than 2000 events" in variables(inventory)["builder_unavailable_reason"]
    assert variables(inventory, IDS[1])["builder_unavailable_reason"] is None


def test_a_machine_that_went_meanwhile_does_not(parse: Parse, api: Api) -> None:
    api.broken[f"/{IDS[0]}/events"] = (404, b"")
    inventory = parse()
    assert reading(inventory)["count"] == 2
    assert "was gone" in variables(inventory)["builder_unavailable_reason"]


def test_a_machine_that_is_booting_is_listed_with_the_reason(parse: Parse, api: Api) -> None:
    api.events[IDS[0]].insert(0, {"type": "provisioning.104.01", "created_at": "2026-11-23T04:00:00Z"})
    inventory = parse()
    assert "booting" in variables(inventory)["builder_unavailable_reason"]
    assert reading(inventory)["complete"] is True


def test_without_a_spot_market_the_request_is_unknown(parse: Parse, api: Api) -> None:
    api.broken["/spot-market-requests"] = (404, b"")
    assert variables(parse())["builder_spot"]["request_id"] is None


def test_a_fleets_machines_are_asked_for_by_tag(parse: Parse, api: Api) -> None:
    api.devices[1]["tags"] = ["hydra"]
    assert list(parse(fleet="lab", tags=["hydra"]).hosts) == [IDS[0]]
    assert "tag=nixmetal-fleet%3Dlab" in api.seen[0]
    assert list(parse(tags=["hydra", "nixmetal-bid=small"]).hosts) == [IDS[0]]


def test_more_machines_than_a_page(parse: Parse, api: Api) -> None:
    many = [f"5a1f0a5e-0000-4000-8000-{number:012}" for number in range(250)]
    api.devices = [device(device_id) for device_id in many]
    api.events = {device_id: events() for device_id in many}
    inventory = parse()
    assert sorted(inventory.hosts) == many
    assert reading(inventory)["count"] == 250


def test_groups_composed_variables_and_a_name_for_an_address(parse: Parse) -> None:
    inventory = parse(
        groups={"ready": "builder_unavailable_reason is none", "idle": "false"},
        keyed_groups=[{"prefix": "metro", "key": "builder_location"}],
        compose={"label": "builder_plan ~ '@' ~ builder_location"},
        address_name="short_id ~ '.packethost.test'",
    )
    assert {"ready", "metro_am"} <= set(inventory.groups)
    known = variables(inventory)
    assert known["label"] == "c3.small.x86@am"
    assert known["ansible_host"] == known["builder_address"] == "5a1f0a5e.packethost.test"
    assert known["builder_known_hosts_line"] == f"5a1f0a5e.packethost.test {KEY}"


def test_strict_makes_a_bad_expression_an_error(parse: Parse) -> None:
    parse(compose={"label": "no_such_variable"})
    with pytest.raises(AnsibleError):
        parse(compose={"label": "no_such_variable"}, strict=True)


def test_the_operators_tables_and_skip_tags(parse: Parse, api: Api) -> None:
    api.devices[0]["tags"] = ["skip-hydra=rollout"]
    inventory = parse(plans={"c3.small.x86": {"max_jobs": 9}}, hostnames={"builder": {"user": "nix"}})
    known = variables(inventory)
    assert (known["builder_max_jobs"], known["builder_user"], known["builder_draining"]) == (9, "nix", True)
    assert variables(parse(skip_tags=["hydra"]), IDS[1])["builder_draining"] is True
    with pytest.raises(AnsibleParserError, match="has the unknown maxjobs"):
        parse(plans={"c3.small.x86": {"maxjobs": 9}})


def test_what_a_machine_says_is_never_a_template(parse: Parse, api: Api) -> None:
    api.devices[0]["hostname"] = "{{ lookup('ansible.builtin.pipe', 'touch /tmp/owned') }}"
    assert variables(parse(compose={"copy": "builder_hostname"}))["copy"].startswith("{{ lookup")


CACHE = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_timeout": 60}


def test_a_cached_reading_keeps_its_time_and_asks_nothing(parse: Parse, api: Api, tmp_path: Path) -> None:
    store = tmp_path / "cache"
    first = parse(**CACHE, cache_connection=str(store))
    api.seen.clear()
    again = parse(**CACHE, cache_connection=str(store), plans={"c3.small.x86": {"max_jobs": 7}})
    assert api.seen == []
    assert reading(again) == reading(first)
    assert variables(again)["builder_max_jobs"] == 7
    kept = "".join(file.read_text(encoding="utf-8") for file in store.iterdir())
    assert IDS[0] in kept
    for secret in (TOKEN, "hush-hush"):
        assert secret not in kept
    parse(**CACHE, cache_connection=str(store), fleet="lab")
    assert api.seen != []


def test_the_cache_is_passed_by_when_ansible_says_so(parse: Parse, api: Api, tmp_path: Path) -> None:
    parse(**CACHE, cache_connection=str(tmp_path / "cache"))
    api.seen.clear()
    parse(use_cache=False, **CACHE, cache_connection=str(tmp_path / "cache"))
    assert api.seen != []


def test_an_incomplete_reading_is_not_kept(parse: Parse, api: Api, tmp_path: Path) -> None:
    api.broken[f"/{IDS[0]}/events"] = (500, b"")
    first = parse(**CACHE, cache_connection=str(tmp_path / "cache"))
    assert reading(first)["unread"] == [IDS[0]]
    api.broken.clear()
    again = parse(**CACHE, cache_connection=str(tmp_path / "cache"))
    assert reading(again)["unread"] == []
    assert variables(again)["builder_host_key"] == KEY


def test_an_incomplete_reading_does_not_take_the_place_of_a_complete_one(
    parse: Parse, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "kept.json"
    parse(stale_cache_file=str(path))
    before = path.read_bytes()
    api.broken[f"/{IDS[0]}/events"] = (500, b"")
    assert reading(parse(stale_cache_file=str(path)))["unread"] == [IDS[0]]
    assert path.read_bytes() == before


def test_the_sdk_is_whole_after_the_plugin(parse: Parse) -> None:
    parse()
    import equinix_metal

    assert equinix_metal.Device.from_dict({"id": "x"}).id == "x"


def test_only_its_own_files_are_taken(tmp_path: Path) -> None:
    other = tmp_path / "hosts.yml"
    other.write_text("", encoding="utf-8")
    assert inventory_loader.get(NAME).verify_file(str(other)) is False


@pytest.mark.parametrize(
    ("option", "chosen"),
    [
        ({"only_states": ["active"]}, [0]),
        ({"only_states": ["failed", "inactive"]}, [1]),
        ({"only_metros": ["da"]}, [1]),
        ({"only_plans": ["c3.small.x86"]}, [0]),
        ({"only_hostnames": ["other"]}, [1]),
        ({"only_spot": True}, [0]),
        ({"only_spot": False}, [1]),
        ({"query": "[?plan == 'c3.medium.x86']"}, [1]),
        ({"query": "[].id"}, [0, 1]),
        ({"only_states": ["active"], "query": "[?metro == 'da']"}, []),
    ],
)
def test_filters_choose_before_events_are_read(
    parse: Parse, api: Api, option: dict[str, Any], chosen: list[int]
) -> None:
    other = {"hostname": "other", "state": "inactive", "spot_instance": False, "plan": {"slug": "c3.medium.x86"}}
    api.devices[1] = device(IDS[1], metro={"code": "da"}, **other)
    inventory = parse(**option)
    assert set(inventory.hosts) == {IDS[number] for number in chosen}
    assert reading(inventory)["count"] == len(chosen)
    assert len([path for path in api.seen if "/events" in path]) == len(chosen)


@pytest.mark.parametrize("query", ["[?", "length(@)", "[].hostname", "[].{a: id}"])
def test_a_query_that_yields_no_devices_is_a_mistake(parse: Parse, query: str) -> None:
    with pytest.raises(AnsibleParserError, match="query "):
        parse(query=query)


def test_images_choose_by_what_a_machine_says(parse: Parse, api: Api) -> None:
    image = "0" * 32 + "-image"
    api.events[IDS[0]] = events(image_id=image)
    assert list(parse(only_images=[image]).hosts) == [IDS[0]]


def test_several_projects_are_one_reading(parse: Parse, api: Api) -> None:
    inventory = parse(project_ids=["one", "two"])
    assert {path.split("/")[4] for path in api.seen if "/devices?" in path} == {"one", "two"}
    assert reading(inventory)["project"] == "one,two"
    check_contract("builders-reading", reading(inventory))
    api.broken["/projects/two/devices"] = (500, b"")
    with pytest.raises(AnsibleParserError, match="two/devices answered 500"):
        parse(project_ids=["one", "two"])


def test_rebooting_is_told_apart_from_unreadable(parse: Parse, api: Api) -> None:
    assert variables(parse())["builder_booting"] is False
    api.events[IDS[0]] = events()[2:]
    assert variables(parse())["builder_booting"] is True
    api.broken[f"{IDS[0]}/events"] = (500, b"")
    assert variables(parse())["builder_booting"] is None


def test_draining_machines_are_hidden_only_when_asked(parse: Parse, api: Api, tmp_path: Path) -> None:
    api.devices[0] = device(IDS[0], tags=["skip-hydra"])
    assert len(parse().hosts) == 2
    keys = tmp_path / "known_hosts"
    inventory = parse(hide_draining=True, known_hosts_file=str(keys))
    assert (list(inventory.hosts), reading(inventory)["count"]) == ([IDS[1]], 1)
    assert "203.0.113.1 " in keys.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ({}, []),
        ({"fleet": "lab", "project_ids": ["one", "two"]}, []),
        ({"tags": ["hydra"]}, ["tags"]),
        *(
            ({f"only_{name}": ["active"]}, [f"only_{name}"])
            for name in ("states", "metros", "plans", "hostnames", "images")
        ),
        ({"only_spot": False}, ["only_spot"]),
        ({"query": "@"}, ["query"]),
        ({"hide_draining": True, "tags": ["hydra"]}, ["tags", "hide_draining"]),
    ],
)
def test_a_reading_says_what_may_have_left_machines_out(
    parse: Parse, options: dict[str, Any], filters: list[str]
) -> None:
    told = reading(parse(**options))
    check_contract("builders-reading", told)
    assert (told["filters"], told["fleet"]) == (filters, options.get("fleet"))


def test_a_cached_reading_says_it_too(parse: Parse, tmp_path: Path) -> None:
    for _run in range(2):
        told = reading(parse(**CACHE, cache_connection=str(tmp_path / "cache"), only_states=["active"]))
        assert told["filters"] == ["only_states"]


def test_host_keys_are_kept_in_a_file_of_the_inventory(parse: Parse, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "known_hosts"
    inventory = parse(known_hosts_file=str(path))
    assert path.read_text(encoding="utf-8").splitlines() == [f"203.0.113.1 {KEY}", f"203.0.113.2 {KEY}"]
    assert f"-o UserKnownHostsFile={path} " in variables(inventory)["ansible_ssh_common_args"]
    api.broken[f"{IDS[0]}/events"] = (500, b"")
    parse(known_hosts_file=str(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    with pytest.raises(AnsibleParserError, match="known_hosts_file must be a path without spaces"):
        parse(known_hosts_file=str(tmp_path / "a b"))


@pytest.mark.parametrize(
    "failure", [(500, b""), (200, b"<html>"), (401, b"{}"), (200, b'{"devices": [{}], "meta": {}}')]
)
def test_a_stale_reading_is_listed_only_with_leave_and_says_so(
    parse: Parse, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str], failure: tuple[int, bytes]
) -> None:
    path = tmp_path / "kept.json"
    first = reading(parse(stale_cache_file=str(path)))
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert TOKEN.encode() not in before
    api.broken["/devices"] = failure
    inventory = parse(stale_cache_file=str(path))
    everyone = inventory.groups["all"].get_vars()
    assert (len(inventory.hosts), everyone["builders_reading"]) == (2, None)
    assert everyone["builders_stale_since"] == first["read_at"]
    told = capsys.readouterr()
    assert "so this is the reading of" in " ".join((told.out + told.err).split())
    assert path.read_bytes() == before
    with pytest.raises(AnsibleParserError):
        parse()
    with pytest.raises(AnsibleParserError):
        parse(stale_cache_file=str(path), fleet="another")


def test_the_console_is_told(parse: Parse, api: Api) -> None:
    api.devices[0] = device(IDS[0], sos="sos.am6.example.org")
    api.devices[1] = device(IDS[1], facility={"code": "AM6"})
    inventory = parse()
    assert variables(inventory)["builder_console"] == f"{IDS[0]}@sos.am6.example.org"
    assert variables(inventory, IDS[1])["builder_console"] == f"{IDS[1]}@sos.am6.packet.net"


def events_asked(api: Api) -> list[str]:
    asked = [path.split("/")[-2] for path in api.seen if "/events" in path]
    api.seen.clear()
    return sorted(asked)


def aged(path: Path, seconds: float) -> None:
    """Make what is kept so much older."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    for entry in kept["data"].values():
        then = datetime.fromisoformat(entry["read_at"].replace("Z", "+00:00")) - timedelta(seconds=seconds)
        entry["read_at"] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(json.dumps(kept), encoding="utf-8")


def test_events_are_kept_with_an_expiry_of_their_own(parse: Parse, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    options = {"events_cache_file": str(path), "events_cache_timeout": 100}
    first = parse(**options)
    assert (events_asked(api), path.stat().st_mode & 0o777) == (IDS, 0o600)
    assert TOKEN not in path.read_text(encoding="utf-8")
    api.devices[0]["tags"] = ["skip-hydra"]
    again = parse(**options)
    assert events_asked(api) == []
    # The list is new, and the reading is as old as the events.
    assert variables(again)["builder_draining"] is True
    assert variables(again)["builder_host_key"] == variables(first)["builder_host_key"] == KEY
    aged(path, 60)
    older = reading(parse(**options))
    assert older["read_at"] < reading(first)["read_at"]
    assert events_asked(api) == []
    aged(path, 60)
    assert reading(parse(**options))["read_at"] > older["read_at"]
    assert events_asked(api) == IDS


def test_a_machine_that_boots_or_stopped_is_asked_anew(parse: Parse, api: Api, tmp_path: Path) -> None:
    options = {"events_cache_file": str(tmp_path / "events.json")}
    api.events[IDS[0]] = events()[2:]
    assert variables(parse(**options))["builder_booting"] is True
    api.seen.clear()
    api.events[IDS[0]] = events()
    assert variables(parse(**options))["builder_host_key"] == KEY
    assert events_asked(api) == [IDS[0]]
    api.devices[1]["state"] = "inactive"
    parse(**options)
    assert events_asked(api) == [IDS[1]]


def test_a_machine_that_has_told_its_key_and_not_itself_is_asked_anew(parse: Parse, api: Api, tmp_path: Path) -> None:
    options = {"events_cache_file": str(tmp_path / "events.json")}
    api.events[IDS[0]] = events()[1:]
    assert variables(parse(**options))["builder_host_key"] == KEY
    api.seen.clear()
    api.events[IDS[0]] = events()
    assert variables(parse(**options))["builder_max_jobs"] is not None
    assert events_asked(api) == [IDS[0]]


@pytest.mark.parametrize(
    "content", ["", "{}", '{"mark": "other", "data": {}}', '{"mark": MARK, "data": {"ID": {"evidence": 5}}}']
)
def test_a_file_of_events_that_makes_no_sense_is_passed_over(
    parse: Parse, api: Api, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "events.json"
    parse(events_cache_file=str(path))
    mark = json.loads(path.read_text(encoding="utf-8"))["mark"]
    path.write_text(content.replace("MARK", json.dumps(mark)).replace("ID", IDS[0]), encoding="utf-8")
    api.seen.clear()
    assert reading(parse(events_cache_file=str(path)))["complete"] is True
    assert events_asked(api) == IDS


def test_another_projects_events_are_not_these(parse: Parse, api: Api, tmp_path: Path) -> None:
    options = {"events_cache_file": str(tmp_path / "events.json")}
    parse(**options)
    api.seen.clear()
    parse(**options, project_id="another")
    assert events_asked(api) == IDS
