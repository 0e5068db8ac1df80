# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a fleet as the autoscaler sees them: whose each is, which work it does, and why it must be left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import (
    PRICE_TAG,
    TAG,
    Offer,
    Settings,
    SizeClass,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.drains import owners
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import near_end

# Words of providers for a machine that has not come up; any other word may be one for a machine that builds.
NOT_UP_YET = frozenset(("queued", "provisioning", "post_provisioning"))
FAILED = "failed"

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Machine:
    """One machine. `jobs` is None when it is not known what it does; `age` is None when it is not known how old it is."""

    id: str
    size: SizeClass | None
    ours: bool
    request: str | None
    state: str
    ready: bool
    drained: str
    doomed: bool
    jobs: int | None
    jobs_reason: str
    age: float | None
    usd: float | None
    bid_name: str = ""
    problem: str = ""
    other_image: bool = False
    boot_seconds: float = 3600

    @property
    def old(self) -> bool:
        return self._beyond(self.size.max_age_seconds if self.size else None)

    @property
    def forced(self) -> bool:
        return self._beyond(self.size.forced_age_seconds if self.size else None)

    @property
    def stuck(self) -> bool:
        """It costs money and will not build: it failed, or has been coming up for too long."""
        return self.state == FAILED or (self.state in NOT_UP_YET and self._beyond(self.boot_seconds))

    @property
    def silent(self) -> bool:
        """The provider says that it runs, but it never said a word. Nothing is known of what it does, so it counts as it is."""
        return self.state == "active" and not self.ready and not self.problem and self._beyond(self.boot_seconds)

    @property
    def serves(self) -> bool:
        """Counts as a machine of its class, now or soon. One that someone else drains is expected back."""
        return not (self.problem or self.doomed or self.stuck or self.drained == "ours")

    @property
    def builds(self) -> bool:
        """Is there for builds now."""
        return self.serves and self.ready and not self.drained

    def _beyond(self, limit: float | None) -> bool:
        return limit is not None and self.age is not None and self.age >= limit


def read_machines(
    builders: Sequence[Json], jobs: Json, requests: Sequence[Json], settings: Settings, prices: Json, now: datetime
) -> list[Machine]:
    """The machines of this fleet, by id; others are left out."""
    owned = {device: request["id"] for request in requests for device in request["device_ids"]}
    reader = _Reader(jobs, owned, settings, prices, now)
    found = [reader.read(facts) for facts in builders if facts.get("builder_fleet") == settings.limits.fleet]
    return sorted(found, key=lambda machine: machine.id)


@dataclasses.dataclass(frozen=True)
class _Reader:
    jobs: Json
    owned: Mapping[str, str]
    settings: Settings
    prices: Json
    now: datetime

    def read(self, facts: Json) -> Machine:
        problems = facts_problems(facts)
        if problems:
            return self._broken(facts, problems)
        tags = facts["builder_tags"]
        spot = facts["builder_spot"] or {}
        size, offer = self._marked(tags)
        jobs, jobs_reason = self._jobs(facts["builder_id"])
        price = self._price(facts)
        return Machine(
            id=facts["builder_id"],
            size=size or self._matching(facts),
            ours=size is not None,
            request=spot.get("request_id") or self.owned.get(facts["builder_id"]),
            state=facts["builder_state"],
            ready=facts["builder_state"] == "active" and facts["builder_host_key"] is not None,
            drained=self._drained(facts),
            doomed=near_end(facts, self.now.timestamp() + self.settings.limits.horizon_seconds) is not None,
            jobs=jobs,
            jobs_reason=jobs_reason,
            age=self._age(facts["builder_created_at"]),
            usd=price,
            bid_name=offer.bid_name(facts["builder_location"]) if offer and price == offer.max_bid_usd_per_hour else "",
            other_image=_other_image(facts, size),
            boot_seconds=self.settings.limits.boot_seconds,
        )

    def _broken(self, facts: Json, problems: Sequence[str]) -> Machine:
        name = str(facts.get("builder_id") or "(no builder_id)")
        return Machine(
            id=name, size=None, ours=False, request=self.owned.get(name), state="unknown", ready=False, drained="", doomed=False,
            jobs=None, jobs_reason="", age=None, usd=None, problem=f"bad facts: {'; '.join(problems[:3])}",
        )  # fmt: skip

    def _marked(self, tags: Sequence[str]) -> tuple[SizeClass | None, Offer | None]:
        """The class that the autoscaler's own tag names. Two such tags name none."""
        marks = {tag[len(TAG) :] for tag in tags if tag.startswith(TAG)}
        if len(marks) != 1:
            return None, None
        name, _dot, offer_name = marks.pop().partition(".")
        for size in self.settings.classes:
            if size.name == name:
                return size, next((offer for offer in size.offers if offer.name == offer_name), None)
        return None, None

    def _matching(self, facts: Json) -> SizeClass | None:
        """The class whose work a machine does that somebody else bought."""
        for size in self.settings.classes:
            for system in set(size.systems) & set(facts["builder_systems"]):
                mandatory = self.settings.size_features(system) & set(facts["builder_mandatory_features"])
                if mandatory == size.features:
                    return size
        return None

    def _drained(self, facts: Json) -> str:
        """Whose drain it is under: `ours`, `theirs`, or none. Half a drain, or one by two, is not ours."""
        found = owners(facts, self.settings.limits.drain_tag)
        if not facts["builder_draining"] and not found:
            return ""
        return "ours" if facts["builder_draining"] and set(found) == {self.settings.limits.owner} else "theirs"

    def _jobs(self, builder: str) -> tuple[int | None, str]:
        entry = self.jobs.get(builder)
        if not isinstance(entry, Mapping):
            return None, "its jobs were not read"
        number = entry.get("jobs")
        known = isinstance(number, int) and not isinstance(number, bool) and number >= 0
        return (number, "") if known else (None, str(entry.get("reason") or "its jobs are not known"))

    def _age(self, created: str | None) -> float | None:
        if created is None:
            return None
        try:
            moment = datetime.fromisoformat(created.replace("Z", "+00:00"))
        except ValueError:
            return None
        return None if moment.tzinfo is None else (self.now - moment).total_seconds()

    def _price(self, facts: Json) -> float | None:
        """The most that it costs: nothing more if it is reserved, as it was bought, or as the operator or the market says."""
        if facts["builder_reservation_id"]:
            return 0.0
        told = [tag[len(PRICE_TAG) :] for tag in facts["builder_tags"] if tag.startswith(PRICE_TAG)]
        numbers = [float(text) for text in told if text.replace(".", "", 1).isdigit()]
        if numbers and len(numbers) == len(told):
            return max(numbers)
        found = self.prices.get(facts["builder_id"], self.prices.get(facts["builder_plan"]))
        return None if found is None else float(found)


def _other_image(facts: Json, size: SizeClass | None) -> bool:
    """Known to run something else than its class is to run."""
    wanted, runs = (size.image_id if size else None), facts["builder_image_id"]
    return wanted is not None and runs is not None and runs != wanted
