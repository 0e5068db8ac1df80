# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a spot market request or a machine is known as a fleet's own.

Machines carry the tags `nixmetal-fleet=FLEET` and `nixmetal-bid=NAME`. Of a request that has no machine yet, the API gives back
only plan, metro, price, counts and end. So its end is chosen to be its mark: a second between 2030-01-01 and 2034-04-03, whose
upper 15 bits a hash of the fleet chooses, and whose lower 12 bits a hash of fleet and bid. That survives a lost controller, needs
no record, and tells a fleet's own request even after its bid was renamed. Another fleet's mark has the same upper bits by
accident once in 32,768, and two bids of a fleet meet once in 4,096.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import Refused

FLEET_TAG = "nixmetal-fleet="
BID_TAG = "nixmetal-bid="
# Of a machine that was bought singly and not by a request: each purchase has an id of its own, by which it is found again.
ORDER_TAG = "nixmetal-order="
PREFIXES = (FLEET_TAG, BID_TAG, ORDER_TAG)

EPOCH = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
FLEET_BITS = 15
BID_BITS = 12


def end_of(fleet: str, name: str) -> datetime.datetime:
    """The end of a bid's request, by which it is recognised."""
    mark = (_hashed(fleet, FLEET_BITS) << BID_BITS) + _hashed(f"{fleet}/{name}", BID_BITS)
    return EPOCH + datetime.timedelta(seconds=mark)


def _hashed(word: str, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest(), "big") & ((1 << bits) - 1)


def marks(fleet: str, name: str) -> list[str]:
    """The tags that the machines of a bid carry."""
    return [FLEET_TAG + fleet, BID_TAG + name]


def marked(tags: Iterable[str], prefix: str) -> str | None:
    """The value of the one tag with a prefix; None when there is none, or when several contradict each other."""
    found = {tag[len(prefix) :] for tag in tags if tag.startswith(prefix)}
    return found.pop() or None if len(found) == 1 else None


def ends_alike(end_at: Any, fleet: str, name: str) -> bool:
    """True when an end that the API gives is the one of a bid. Fractions of a second do not count."""
    seen = values.moment(end_at)
    return seen is not None and seen.replace(microsecond=0) == end_of(fleet, name)


def ends_for_fleet(end_at: Any, fleet: str) -> bool:
    """True when an end that the API gives is one that a bid of a fleet could have, whatever the bid's name."""
    seen = values.moment(end_at)
    return seen is not None and (seen - EPOCH) // datetime.timedelta(seconds=2**BID_BITS) == _hashed(fleet, FLEET_BITS)


def check_owner(device: dict[str, Any], fleet: str, project_id: str) -> None:
    """Refuse a machine that does not carry the fleet's tag, or is not proved to be of the project.

    A token may reach several projects, and a fleet's name is free to be used in each of them.
    """
    if marked(device["tags"], FLEET_TAG) != fleet:
        raise Refused(
            f"The machine {device['id']} is not proved to belong to the fleet {fleet}: it does not carry the tag {FLEET_TAG}{fleet} "
            "alone. It is left alone."
        )
    seen = device["project_id"]
    if seen is None or seen.lower() != project_id.lower():
        raise Refused(
            f"The machine {device['id']} is {'of no known project' if seen is None else f'of the project {seen}'}, and project_id is "
            f"{project_id}. It is left alone."
        )
