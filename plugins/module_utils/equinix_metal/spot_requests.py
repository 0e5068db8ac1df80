# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live spot market requests of a project, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import BadAnswer, NotFound

INCLUDE = "devices,metro,plan"
KEY = "spot_market_requests"

Request = dict[str, Any]


def read_requests(client: Client, include: str | None = INCLUDE) -> list[Request]:
    """Every live request of the project, oldest first, with its devices' ids, and their tags where the API gives them.

    What is not included comes as links, which hold the ids: a thousandth of the answer.
    """
    path = f"/projects/{client.settings.project_id}/spot-market-requests"
    raw = client.get(path, {"include": include}).get(KEY)
    items = values.only_objects(raw)
    if items is None:
        raise BadAnswer(f"{client.url(path)} answered without a list of objects named '{KEY}'.", 200, client.url(path))
    requests = [_whole(client, item) for item in items]
    found = [request for request in requests if request is not None]
    return sorted(found, key=lambda request: (request["created_at"] or "", request["id"]))


def read_request(client: Client, request_id: str) -> Request | None:
    """One request; None when there is none."""
    path = f"/spot-market-requests/{request_id}"
    try:
        raw = client.get(path, {"include": INCLUDE})
    except NotFound:
        return None
    if not isinstance(raw.get("devices"), list):
        raise BadAnswer(f"{client.url(path)} answered without the list of its devices.", 200, client.url(path))
    return lean(raw)


def _whole(client: Client, raw: dict[str, Any]) -> Request | None:
    """A request from the list, asked for alone when the list leaves its devices out, as the specification has it."""
    if isinstance(raw.get("devices"), list):
        return lean(raw)
    return read_request(client, lean(raw)["id"])


def lean(raw: dict[str, Any]) -> Request:
    """What is used of a request as the API gives it."""
    request_id = values.text(raw.get("id")) or values.identifier(raw.get("href"))
    if request_id is None:
        raise BadAnswer("The API answered with a spot market request that has no id.")
    machines = _machines(raw, request_id)
    tags = {values.identifier(machine): values.only_texts(machine.get("tags")) for machine in machines}
    return {
        "id": request_id,
        "plan": _plan(raw, machines),
        "metro": _metro(raw, machines),
        "max_bid_price": values.number(raw.get("max_bid_price")),
        "devices_min": values.integer(raw.get("devices_min")),
        "devices_max": values.integer(raw.get("devices_max")),
        "end_at": values.known_time(raw.get("end_at")),
        "created_at": values.text(raw.get("created_at")),
        "device_ids": [values.identifier(machine) for machine in machines],
        "tags": {device_id: words for device_id, words in tags.items() if words is not None},
    }


def _machines(raw: dict[str, Any], request_id: str) -> list[dict[str, Any]]:
    """A request's devices, each with an id or a link. An answer to a purchase may leave them out."""
    told = raw.get("devices")
    machines = values.only_objects([] if told is None else told)
    if machines is None or not all(values.identifier(machine) for machine in machines):
        raise BadAnswer(f"The API answered with devices that make no sense of the spot market request {request_id}.")
    return machines


def _plan(raw: dict[str, Any], machines: list[dict[str, Any]]) -> str | None:
    for holder in (raw, values.inner(raw, "instance_parameters"), *machines):
        plan = values.inner(holder, "plan")
        slug = values.text(plan) or values.text(values.inner(plan, "slug"))
        if slug:
            return slug.lower()
    return None


def _metro(raw: dict[str, Any], machines: list[dict[str, Any]]) -> str | None:
    for holder in (raw, *machines):
        metro = values.inner(holder, "metro")
        code = values.text(metro) or values.text(values.inner(metro, "code"))
        if code:
            return code.lower()
    return None


def with_owners(client: Client, requests: list[Request], fleet: str, names: Iterable[str]) -> list[Request]:
    """The requests, each with `ours`, the `name` of its bid, and whether its end `contradicts` its machines' tags.

    A request is a fleet's own when one of its machines carries the fleet's tags and none carries another's, or when its end
    is marked as the fleet's and its machines do not contradict that. The name is null when the bid is none of the names.
    """
    tags = _tags_of(client, requests, fleet)
    return [{**request, **_owner(request, tags, fleet, list(names))} for request in requests]


def _owner(request: Request, tags: dict[str, list[str]], fleet: str, names: list[str]) -> dict[str, Any]:
    machines = [tags[device_id] for device_id in request["device_ids"] if device_id in tags]
    fleets = _values_of(machines, ownership.FLEET_TAG)
    bids = _values_of(machines, ownership.BID_TAG)
    by_end = next((name for name in names if ownership.ends_alike(request["end_at"], fleet, name)), None)
    if fleets == {fleet} and len(bids) == 1:
        name = bids.pop()
        return {"ours": by_end in (None, name), "name": name, "contradicts": by_end not in (None, name)}
    if by_end is not None:
        proved = not fleets - {fleet} and not bids - {by_end}
        return {"ours": proved, "name": by_end if proved else None, "contradicts": not proved}
    marked = ownership.ends_for_fleet(request["end_at"], fleet)
    # A short mark can be met by accident, so it proves nothing against machines without the fleet's tag.
    proved = marked and (fleets == {fleet} or not machines)
    return {"ours": proved, "name": None, "contradicts": marked and not proved}


def _values_of(machines: list[list[str]], prefix: str) -> set[str]:
    return {tag[len(prefix) :] for tags in machines for tag in tags if tag.startswith(prefix)}


def _tags_of(client: Client, requests: list[Request], fleet: str) -> dict[str, list[str]]:
    """The tags of the requests' machines. Those that came without tags are looked up among the fleet's machines."""
    tags = {device_id: words for request in requests for device_id, words in request["tags"].items()}
    if any(device_id not in tags for request in requests for device_id in request["device_ids"]):
        mine = devices.read_devices(client, tag=ownership.FLEET_TAG + fleet)
        tags.update({device["id"]: device["tags"] for device in mine})
    return tags
