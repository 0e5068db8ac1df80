# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A campaign of seeded faults on the emulator: whatever fails, and whoever buys at the same time, what is declared is there in the end.

A run declares a request or single machines. Calls fail at random before or after their effect, answer with garbage, or the
controller dies between a call and its answer; in half of the runs a second controller, which has faults as well, does the same thing in
the middle of the first one's work. Then the first controller runs again until it ends well.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_tasks, errors, spot_tasks
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import (
    DEVICE_OPTIONS,
    SPOT_REQUEST_OPTIONS,
)

SHORT, LONG = 60, 1000
ATTEMPTS = 80
COMMON = {"fleet": "lab", "name": "small", "plan": "c3.small.x86", "ipxe_script_url": "http://web.test/netboot.ipxe"}


class Run:
    """One run: what is declared, what fails, and what was seen on the way."""

    def __init__(self, emulation: Any, api: Any, seed: int, told: Counter[str]) -> None:
        self.emulation, self.api, self.told = emulation, api, told
        self.random = random.Random(seed)
        self.spot = self.random.random() < 0.5
        self.count = self.random.randint(1, 3)
        self.faulty = emulation.Faulty(api, seed, rate=self.random.choice([0.15, 0.35]))
        self.second_at = self.random.randint(1, 8) if self.random.random() < 0.5 else None
        self.two = self.second_at is not None

    def apply(self) -> dict[str, Any]:
        if self.spot:
            defaults = {name: spec.get("default") for name, spec in SPOT_REQUEST_OPTIONS.items()}
            bid = {"metro": "am", "max_bid_price": 0.5, "devices_max": self.count, "terminate_devices": self.two}
            return spot_tasks.apply(self.api.client(), {**defaults, **COMMON, **bid}, False)
        defaults = {name: spec.get("default") for name, spec in DEVICE_OPTIONS.items()}
        order = {"metros": ["am"], "count": self.count, "surplus": "end" if self.two else "keep"}
        return device_tasks.apply(self.api.client(), {**defaults, **COMMON, **order}, False)

    def try_once(self) -> dict[str, Any] | None:
        """A controller's run. None when it failed with a message, or died."""
        try:
            return self.apply()
        except errors.MetalError as error:
            self.told["failures with a message" if len(str(error)) > 20 else "failures without one"] += 1
        except self.emulation.Crash:
            self.told["crashes"] += 1
        return None

    def spoil(self, call: Any) -> Any:
        if self.second_at is not None:
            self.second_at -= 1
            if self.second_at == 0:
                self.second_at = None
                self.told["second controllers"] += 1
                self.try_once()
        outcome = self.faulty(call)
        self._check()
        return outcome

    def _check(self) -> None:
        """At no moment more than each controller has declared; a lone one never more than that."""
        requests = len(self.api.cloud.store.spot_requests)
        singles = sum(device.spot_request_id is None for device in self.api.live())
        assert requests <= (2 if self.two else 1)
        assert singles <= self.count * (2 if self.two else 1)

    def until_it_ends_well(self) -> None:
        self.api.spoil = self.spoil
        for _attempt in range(ATTEMPTS):
            if self.try_once() is not None:
                break
            self.api.sleep(self.random.choice([0.0, 2.0, 30.0]))
        else:
            pytest.fail("never ended well")
        self.api.spoil = lambda _call: None

    def check_the_end(self) -> None:
        """A run without faults puts right what a dead controller has left, the next one changes nothing, and all is in sight."""
        self.apply()
        self.api.sleep(60)
        again = self.apply()
        store = self.api.cloud.store
        assert again["changed"] is False
        assert len(store.spot_requests) == int(self.spot)
        assert len(self.api.live()) == self.count
        assert sorted(again["device_ids"]) == sorted(device.id for device in self.api.live())


def run_campaign(emulation: Any, directory: Path, runs: int) -> Counter[str]:
    told: Counter[str] = Counter()
    for seed in range(runs):
        with emulation.emulated(directory) as api, _named(seed):
            run = Run(emulation, api, seed, told)
            run.until_it_ends_well()
            run.check_the_end()
            told["faults"] += run.faulty.faults
            told["spot runs"] += run.spot
    return told


@contextlib.contextmanager
def _named(seed: int) -> Any:
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the run with seed {seed}")
        raise


@pytest.mark.parametrize("runs", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_fault_campaign(emulation: Any, tmp_path: Path, runs: int, tell: Callable[[str], None]) -> None:
    told = run_campaign(emulation, tmp_path, runs)
    words = ", ".join(f"{count} {what}" for what, count in sorted(told.items()))
    tell(f"purchases under faults, {runs} runs, seeds 0 to {runs - 1}: {words}")
    assert told["failures without one"] == 0
    assert told["faults"] > runs
    assert told["crashes"] > runs / 10
    assert told["second controllers"] > runs / 10
