# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue that a lab has when its configuration names none. Prices are made up, in the order of the real ones."""

from __future__ import annotations

from typing import Any

METROS = (
    ("am", "Amsterdam", "NL", "am6"),
    ("ch", "Chicago", "US", "ch3"),
    ("da", "Dallas", "US", "da11"),
    ("dc", "Washington DC", "US", "dc13"),
    ("fr", "Frankfurt", "DE", "fr2"),
    ("ny", "New York", "US", "ny5"),
    ("sg", "Singapore", "SG", "sg4"),
    ("sv", "Silicon Valley", "US", "sv15"),
)

PLANS: tuple[dict[str, Any], ...] = (
    {"slug": "c3.small.x86", "on_demand_price": 0.75, "spot_price": 0.23, "memory": "32GB", "cpu": "Xeon E-2278G"},
    {"slug": "c3.medium.x86", "on_demand_price": 1.5, "spot_price": 0.45, "memory": "64GB"},
    {
        "slug": "m3.large.x86",
        "on_demand_price": 3.1,
        "spot_price": 0.93,
        "spot_prices": {"da": 1.05},
        "memory": "256GB",
        "cpu": "AMD EPYC 7502P 32-Core Processor @ 2.50GHz",
    },
    # Its slug and its class differed in production.
    {
        "slug": "c3.large.arm64",
        "class": "c3.large.arm",
        "on_demand_price": 2.5,
        "spot_price": 0.75,
        "memory": "256GB",
        "cpu": "Ampere Altra Q80-30 80-Core Processor @ 2.80GHz",
        "metros": ("da", "dc", "ny", "sv"),
    },
)

OPERATING_SYSTEMS = (
    ("7516833e-1b77-4611-93e9-d48225ca8b3c", "custom_ipxe", "Custom iPXE", "custom_ipxe", "1"),
    ("03acabd2-7b1c-4ed9-9b06-0a0c9e0a8e35", "debian_12", "Debian 12", "debian", "12"),
    ("9b3f9a2e-6d4b-4a3f-a1c8-4b1f2f3d6e70", "nixos_23_11", "NixOS 23.11", "nixos", "23.11"),
    ("d6c1a4a0-5f9f-4e0c-8f0b-2b6f0c7d8e91", "ubuntu_22_04", "Ubuntu 22.04 LTS", "ubuntu", "22.04"),
)
