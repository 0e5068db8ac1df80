# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making and ending requests so that nothing is bought twice.

What may have been made is looked for before it is made again. Of two controllers that make the same request at once, each looks
again afterwards: the oldest request stays, and who made a newer one withdraws it.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import spot_requests
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    ApiError,
    BadAnswer,
    Doubtful,
    Refused,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_bid import Bid
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_requests import Request

# The list of requests may lag behind. What it does not show after these pauses, in seconds, is not known to be absent.
LOOKS = (0.0, 1.0, 2.0, 4.0, 8.0)
# The API tells times in whole seconds. After this pause, whatever has the same second as one's own purchase is there to be seen, so
# that two controllers who bought in one second come to the same order.
SETTLING_SECONDS = 1.2


def find_own(client: Client, fleet: str, name: str | None, request_id: str | None = None) -> list[Request]:
    """The fleet's own live requests of a name, or with an id, oldest first."""
    live = spot_requests.read_requests(client)
    owned = spot_requests.with_owners(client, live, fleet, [name] if name else [])
    _stop_at_contradictions(owned, fleet)
    if request_id is not None:
        return _with_id(owned, fleet, request_id)
    return [request for request in owned if request["ours"] and request["name"] == name]


def _stop_at_contradictions(requests: list[Request], fleet: str) -> None:
    strange = [request["id"] for request in requests if request["contradicts"]]
    if strange:
        raise Refused(
            f"The end of the request {', '.join(strange)} marks it as one of the fleet {fleet}, but its machines carry other tags "
            "than that bid's. It cannot be told whose it is, so nothing is done: correct the tags, or give the fleet or the bid "
            "another name."
        )


def _with_id(requests: list[Request], fleet: str, request_id: str) -> list[Request]:
    found = [request for request in requests if request["id"] == request_id]
    if found and not found[0]["ours"]:
        raise Refused(
            f"The request {request_id} is not proved to belong to the fleet {fleet}: none of its machines carries the tag "
            f"nixmetal-fleet={fleet}, and its end is not marked as the fleet's. It is left alone."
        )
    return found


def create(client: Client, bid: Bid, known: set[str]) -> tuple[Request, list[str]]:
    """Make the bid's request, beside those with known ids.

    The call is sent once, because no error and no list proves that it had no effect. Also tells the ids of what was
    withdrawn because someone else was first.
    """
    made = _ask(client, bid)
    if isinstance(made, dict):
        return _settle(client, bid, known, made)
    found = _look_for(client, bid, known)
    if found is None:
        raise _not_seen(bid, made) from made
    return found, []


def _ask(client: Client, bid: Bid) -> Request | Doubtful:
    """Send the call once: the request that was made, or the doubt whether it was."""
    path = f"/projects/{client.settings.project_id}/spot-market-requests"
    try:
        return _read_made(client.post(path, bid.body(), {"include": spot_requests.INCLUDE}))
    except Doubtful as doubt:
        return doubt


def _read_made(answer: dict[str, Any]) -> Request:
    try:
        return spot_requests.lean(answer)
    except BadAnswer as error:
        raise Doubtful(str(error), 201) from error


def _look_for(client: Client, bid: Bid, known: set[str]) -> Request | None:
    for pause in LOOKS:
        client.clock.sleep(pause)
        new = [request for request in find_own(client, bid.fleet, bid.name) if request["id"] not in known]
        if len(new) > 1:
            raise _several(bid, new)
        if new:
            return new[0]
    return None


def _several(bid: Bid, new: list[Request]) -> Refused:
    # Without an answer it is not known which of them is ours to withdraw.
    return Refused(
        f"The answer to the purchase for the bid {bid.name} was lost, and {len(new)} new requests are live: "
        f"{', '.join(request['id'] for request in new)}. Another controller may have made one of them, so none is ended now. "
        "Run this again when no other run is under way: one is kept then, and the others are ended."
    )


def _not_seen(bid: Bid, error: ApiError) -> ApiError:
    return ApiError(
        f"{error} Whether the request of the bid {bid.name} was made is not known: the list of requests does not show it. "
        "Nothing was sent again. Run this again later: a request that was made will be recognised by its end, which is "
        f"{bid.end_at}, and not be bought twice.",
        error.status,
        error.url,
    )


def _settle(client: Client, bid: Bid, known: set[str], made: Request) -> tuple[Request, list[str]]:
    """Look again after the purchase: the oldest new request stays."""
    client.clock.sleep(SETTLING_SECONDS)
    new = [request for request in find_own(client, bid.fleet, bid.name) if request["id"] not in known]
    if not any(request["id"] == made["id"] for request in new):
        # The list lags behind, which is no reason to doubt what was answered.
        return {**made, "ours": True, "name": bid.name}, []
    if new[0]["id"] == made["id"]:
        return new[0], []
    end(client, made, terminate_devices=True)
    return new[0], [made["id"]]


def end(client: Client, request: Request, terminate_devices: bool) -> list[str]:
    """End a request. Its id, in a list, when it was there."""
    query = {"force_termination": "true"} if terminate_devices else None
    return [request["id"]] if client.delete(f"/spot-market-requests/{request['id']}", query) else []
