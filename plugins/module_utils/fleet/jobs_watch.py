# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until builders are proved idle: no jobs seen, time after time, for long enough."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import jobs_sources
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsReading,
    JobsTarget,
    Reader,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import SYSTEM_CLOCK, Clock


@dataclasses.dataclass(frozen=True)
class WatchSettings:
    """How long builders must be seen idle, how often to look, for how long, and whether one of them is enough. Times are seconds."""

    quiet: float = 60.0
    pause: float = 10.0
    timeout: float = 43200.0
    until_any: bool = False


@dataclasses.dataclass
class Watch:
    """What has been seen. A builder that is proved idle is not asked again."""

    targets: Sequence[JobsTarget]
    settings: WatchSettings
    # How long each builder has been seen idle without a break.
    seen: dict[str, float] = dataclasses.field(default_factory=dict)
    readings: dict[str, JobsReading] = dataclasses.field(default_factory=dict)
    _last_look: float | None = None

    def look(self, reader: Reader, clock: Clock) -> None:
        """Ask for the builders that are not proved idle yet; at first for all, whatever an earlier call has seen."""
        first = self._last_look is None
        waiting = [target for target in self.targets if first or not self.is_proved(target.id)]
        readings = reader(waiting) if waiting else {}
        now = clock.monotonic()
        # A look that did not take place proves nothing: of a longer break no more counts than of a usual one.
        gap = 0.0 if self._last_look is None else min(now - self._last_look, 2 * self.settings.pause)
        for target in waiting:
            self._note(target.id, readings[target.id], gap)
        self._last_look = now

    def _note(self, name: str, reading: JobsReading, gap: float) -> None:
        self.readings[name] = reading
        if not reading.is_idle:
            self.seen.pop(name, None)
        elif name in self.seen:
            self.seen[name] += gap
        else:
            self.seen[name] = 0.0

    def is_proved(self, name: str) -> bool:
        return name in self.seen and self.seen[name] >= self.settings.quiet

    @property
    def proved(self) -> list[str]:
        return [target.id for target in self.targets if self.is_proved(target.id)]

    @property
    def finished(self) -> bool:
        proved = len(self.proved)
        return proved == len(self.targets) or (self.settings.until_any and proved > 0)


def wait_idle(
    reader: Reader,
    targets: Sequence[JobsTarget],
    settings: WatchSettings,
    seen: Mapping[str, float] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Watch:
    """Look until the builders are proved idle or the time is over. It is looked at least once."""
    watch = Watch(targets, settings, dict(seen or {}))
    deadline = clock.monotonic() + settings.timeout
    while True:
        watch.look(reader, clock)
        left = deadline - clock.monotonic()
        if watch.finished or left <= 0:
            return watch
        clock.sleep(min(settings.pause, left))


def result(watch: Watch) -> dict[str, Any]:
    """What a module returns of it."""
    proved = watch.proved
    return {
        "builders": {
            target.id: {
                **(reading_result(watch.readings[target.id]) if target.id in watch.readings else {}),
                "idle": target.id in proved,
                "idle_seconds": watch.seen.get(target.id, 0.0),
            }
            for target in watch.targets
        },
        "idle": proved,
        "not_idle": [target.id for target in watch.targets if target.id not in proved],
        "finished": watch.finished,
        "seen": watch.seen,
    }


def wait_from(options: Mapping[str, Any], look_only: bool = False, clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """Wait as a module's options say; in check mode look once."""
    settings = WatchSettings(
        quiet=options["quiet_seconds"],
        pause=options["pause_seconds"],
        timeout=0.0 if look_only else math.inf if options["policy"] == "wait" else options["timeout"],
        until_any=options["until"] == "any",
    )
    targets = jobs_sources.targets_from(options)
    return result(wait_idle(jobs_sources.reader_from(options), targets, settings, _seen(options["seen"]), clock))


def _seen(told: Mapping[str, Any]) -> dict[str, float]:
    try:
        return {str(name): float(seconds) for name, seconds in told.items()}
    except (TypeError, ValueError) as error:
        raise JobsError("seen: takes what an earlier call has returned as seen, a number of seconds by id.") from error


def late_words(watched: Mapping[str, Any], timeout: float) -> str:
    """What to tell when the time is over."""
    return f"After {timeout:g} seconds these machines are not proved idle: {not_idle_words(watched['builders'])}."


def reading_result(reading: JobsReading) -> dict[str, Any]:
    """A reading as modules return it."""
    return {"jobs": reading.jobs, "source": reading.source, "label": reading.label, "reason": reading.reason}


def not_idle_words(builders: Mapping[str, Mapping[str, Any]], limit: int = 5) -> str:
    """Which builders are not proved idle, and what is known of them."""
    words = [f"{name} ({_words(told)})" for name, told in builders.items() if not told.get("idle")]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def _words(told: Mapping[str, Any]) -> str:
    jobs = told.get("jobs")
    if jobs is None:
        return f"unknown: {told.get('reason') or 'not asked yet'}"
    if jobs:
        return f"{jobs} job{'' if jobs == 1 else 's'}"
    return f"idle for {told.get('idle_seconds', 0):.0f} s"
