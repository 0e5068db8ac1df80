# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A decided purchase as the provider's verb `create` takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import PRICE_TAG, SizeClass
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import boot_url

Json = Mapping[str, Any]


def autoscale_order(classes: Sequence[SizeClass], creation: Json, channels: Sequence[Json]) -> dict[str, Any]:
    """The provider, and the bid: machines bought singly that say whose they are and what they may cost."""
    size = next(size for size in classes if size.name == creation["class"])
    offer = next(offer for offer in size.offers if offer.name == creation["offer"])
    price = offer.max_bid_usd_per_hour
    bid = {
        "name": offer.bid_name(creation["metro"]),
        "kind": offer.kind,
        "single": True,
        "plan": offer.plan,
        "metro": creation["metro"],
        "count": creation["count"],
        "max_bid_usd_per_hour": price,
        "boot_url": boot_url({"channel": offer.channel}, channels),
        "tags": [*offer.tags, offer.mark, f"{PRICE_TAG}{price}"],
        "hostname": offer.hostname,
    }
    return {"provider": offer.provider, "bid": bid}
