# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the destination answers before anything travels."""

from __future__ import annotations

import os

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import plan, receive_side
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError


@pytest.fixture
def asked(make_image, noise, tmp_path):
    """A plan for an image that is not there."""
    image = make_image({"kernel": noise(1000), "initrd-00": noise(2000)})
    text = (image / "manifest.json").read_text()
    return {"operation": "plan", "layout": "image", "manifest": text, "dest": str(tmp_path / "web")}


def test_check_mode_tells_what_would_travel_and_makes_nothing(asked):
    answer = receive_side.run(asked, check_mode=True)
    assert answer["changed"] is True
    assert (answer["files_lacking"], answer["bytes_lacking"]) == (["kernel", "initrd-00"], 3000)
    assert not os.path.exists(asked["dest"])


def test_a_plan_starts_nothing_and_has_the_destination_ready(asked):
    answer = receive_side.run(asked, check_mode=False)
    assert (answer["changed"], answer["files_lacking_count"], answer["bytes_resumable"]) == (False, 2, 0)
    assert os.path.isdir(os.path.join(asked["dest"], ".state", "parts"))


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_does_not_fit_is_refused_before_either_side_begins(asked, tmp_path, monkeypatch, check_mode):
    usage = plan.shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage._replace(free=2999 + plan.SPARE))
    with pytest.raises(StreamError, match="web: 1051576 bytes are needed and 1051575 are free"):
        receive_side.run(asked, check_mode)
