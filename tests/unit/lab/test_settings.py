# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: defaults, and faults told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from metal_lab.core import settings

GOOD = {"state_directory": "/tmp/lab", "token": "t"}


def test_the_example_is_a_configuration():
    example = Path(__file__).resolve().parents[3] / "extensions" / "lab" / "example.yml"
    assert settings.load(example).backend == "simulated"


def test_defaults_are_the_network_of_the_lab():
    parsed = settings.parse(GOOD)
    assert (str(parsed.pool.first), str(parsed.pool.last), parsed.qemu.bridge) == (
        "10.213.77.101",
        "10.213.77.199",
        "br0",
    )
    slugs = {plan.slug for plan in parsed.plans}
    assert slugs == {"c3.small.x86", "c3.medium.x86", "m3.large.x86", "c3.large.arm64"}
    assert {"am", "da"} <= {metro.code for metro in parsed.metros}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token": ""}, "token"),
        ({"listen_port": 70000}, "listen_port"),
        ({"backend": "cloud"}, "backend"),
        ({"lisen_port": 1}, "lisen_port"),
        ({"pool": {"first": "10.0.0.9", "last": "10.0.0.1"}}, "pool"),
        ({"plans": [{"slug": "x", "on_demand_price": 0}]}, "plans.0.on_demand_price"),
        ({"plans": [{"slug": "x", "on_demand_price": 1, "metros": ["mars"]}]}, "mars"),
        ({"qemu": {"bridge": "br0; reboot"}}, "qemu.bridge"),
        ({"backend": "qemu", "listen_address": "0.0.0.0"}, "base_url"),
    ],
)
def test_a_fault_names_the_setting(changes, named):
    with pytest.raises(settings.SettingsError, match=named):
        settings.parse(GOOD | changes)


def test_files_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(settings.SettingsError, match="cannot be read"):
        settings.load(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("{]")
    with pytest.raises(settings.SettingsError, match="neither JSON nor YAML"):
        settings.load(tmp_path / "bad.yml")
