# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot prices: a base per plan and metro, moved by a seeded process, or set by hand."""

from __future__ import annotations

import hashlib
from typing import Any

from metal_lab.core.catalogue import Catalogue
from metal_lab.core.clock import Clock
from metal_lab.core.settings import MarketSettings
from metal_lab.core.store import Store

_FACT = "spot_prices_set"


class Market:
    """Prices are functions of time, so that a restart or a jump of the clock changes no history."""

    def __init__(self, settings: MarketSettings, catalogue: Catalogue, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._clock = clock

    def has_spot(self, plan: str, metro: str) -> bool:
        settings = self._catalogue.plan_settings[plan]
        sold = any(place.code == metro for place in self._catalogue.sold_in(settings))
        return sold and settings.spot_price is not None

    def price(self, plan: str, metro: str, moment: float | None = None) -> float:
        """USD per hour."""
        when = self._clock.now() if moment is None else moment
        by_hand = [price for since, price in self._set_by_hand(plan, metro) if since <= when]
        return by_hand[-1] if by_hand else self._drifting(plan, metro, when)

    def set_price(self, plan: str, metro: str, price: float) -> None:
        """From now on this price holds; the seeded process moves it no more."""
        everything: dict[str, Any] = dict(self._store.facts.get(_FACT, {}))
        everything[f"{plan}/{metro}"] = [*self._set_by_hand(plan, metro), [self._clock.now(), price]]
        self._store.set_fact(_FACT, everything)

    def _set_by_hand(self, plan: str, metro: str) -> list[list[float]]:
        found: list[list[float]] = self._store.facts.get(_FACT, {}).get(f"{plan}/{metro}", [])
        return found

    def _drifting(self, plan: str, metro: str, moment: float) -> float:
        settings = self._catalogue.plan_settings[plan]
        base = settings.spot_prices.get(metro, settings.spot_price or settings.on_demand_price)
        step, into = divmod(moment, self._settings.interval)
        before = self._noise(plan, metro, int(step))
        after = self._noise(plan, metro, int(step) + 1)
        drift = before + (after - before) * into / self._settings.interval
        return round(base * (1 + self._settings.amplitude * drift), 2)

    def _noise(self, plan: str, metro: str, step: int) -> float:
        """A number from -1 to 1 that only the seed and its arguments determine."""
        digest = hashlib.sha256(f"{self._settings.seed}/{plan}/{metro}/{step}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 0x7FFFFFFF - 1

    def history(self, plan: str, metro: str, since: float, until: float) -> list[list[float]]:
        """At most 1,000 points of ``[price, epoch]``."""
        spacing = max(self._settings.interval, (until - since) / 1000)
        count = max(0, int((until - since) / spacing)) + 1 if until >= since else 0
        moments = [since + spacing * index for index in range(count)]
        return [[self.price(plan, metro, moment), int(moment)] for moment in moments]
