# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a wait for machines takes for the end, and what it says when the end does not come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_wait, spot_wait
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import MetalError
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the API tells of each machine; the clock goes on by the pauses alone."""
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], sleep=lambda pause: now.__setitem__(0, now[0] + pause), random=lambda: 0.0)
    machines: dict[str, Any] = {}
    monkeypatch.setattr(device_wait.devices, "read_device", lambda _client, device_id: machines[device_id])
    return {"client": SimpleNamespace(clock=clock), "machines": machines}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "the provider failed to provision d2"),
        ("deprovisioning", "d2 is deprovisioning"),
        (None, "d2 is gone"),
    ],
)
def test_a_machine_that_will_not_come_ends_the_wait_and_what_lives_is_said_to_cost(
    told: dict[str, Any], state: str | None, words: str
) -> None:
    told["machines"].update(d1={"state": "active"}, d2=state and {"state": state})
    with pytest.raises(MetalError, match=f"{words}. What is live stays, and costs money"):
        device_wait.wait_until_active(told["client"], ["d1", "d2"], 60)


def test_machines_that_take_too_long_are_named_with_their_state(told: dict[str, Any]) -> None:
    told["machines"].update(d1={"state": "provisioning"}, d2=None)
    with pytest.raises(
        MetalError, match=r"After 60 seconds not all machines are active: d1 \(provisioning\)\. They stay"
    ):
        device_wait.wait_until_active(told["client"], ["d1"], 60)
    with pytest.raises(
        MetalError, match=r"not all machines are gone: d1 \(provisioning\), d2 \(gone\)\. They were asked"
    ):
        device_wait.wait_until_gone(told["client"], ["d1", "d2"], 60)


def test_a_request_that_is_gone_is_not_waited_for() -> None:
    assert spot_wait.judge({"gone": True, "devices": []}, 1).failure == "the request is gone"
