# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules, each declared once: its argument spec, and the name of its field in the API."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import settings

Spec = dict[str, Any]


def connection_spec(fallback: Any) -> Spec:
    """Options of every module. `fallback` is Ansible's env_fallback, handed in to keep this file free of Ansible."""
    return {
        "metal_api_url": {"type": "str", "fallback": (fallback, list(settings.URL_NAMES))},
        "metal_auth_token": {
            "type": "str",
            "no_log": True,
            "aliases": ["api_token"],
            "fallback": (fallback, list(settings.TOKEN_NAMES)),
        },
        "project_id": {"type": "str", "fallback": (fallback, list(settings.PROJECT_NAMES))},
        "metal_api_timeout": {"type": "float", "default": 30},
        "metal_api_tries": {"type": "int", "default": 5},
        "metal_ca_file": {"type": "path"},
    }


# Options whose value goes into the request's instance_parameters under the same name.
INSTANCE_OPTIONS: dict[str, Spec] = {
    "always_pxe": {"type": "bool", "default": True},
    "billing_cycle": {"type": "str", "choices": ["hourly", "daily", "monthly", "yearly"], "default": "hourly"},
    "customdata": {"type": "dict"},
    "description": {"type": "str"},
    "features": {"type": "list", "elements": "str"},
    "hostname": {"type": "str"},
    "hostnames": {"type": "list", "elements": "str"},
    "ipxe_script_url": {"type": "str"},
    "locked": {"type": "bool"},
    "no_ssh_keys": {"type": "bool", "no_log": False},
    "operating_system": {"type": "str", "default": "custom_ipxe"},
    "plan": {"type": "str"},
    "project_ssh_keys": {"type": "list", "elements": "str", "no_log": False},
    "tags": {"type": "list", "elements": "str"},
    "termination_time": {"type": "str"},
    "user_ssh_keys": {"type": "list", "elements": "str", "no_log": False},
    "userdata": {"type": "str", "no_log": True},
}

# Options whose value goes into the request itself.
REQUEST_OPTIONS: dict[str, Spec] = {
    "devices_max": {"type": "int"},
    "devices_min": {"type": "int"},
    "max_bid_price": {"type": "float"},
    "metro": {"type": "str"},
}

# Options that say which request is meant, and how to go about it.
HANDLING_OPTIONS: dict[str, Spec] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fleet": {"type": "str", "required": True},
    "name": {"type": "str"},
    "request_id": {"type": "str"},
    "change": {"type": "str", "choices": ["refuse", "create_first", "end_first"], "default": "refuse"},
    "terminate_devices": {"type": "bool", "default": False},
    "cost_ceiling_usd_per_hour": {"type": "float"},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 1800},
}

SPOT_REQUEST_OPTIONS: dict[str, Spec] = {**HANDLING_OPTIONS, **REQUEST_OPTIONS, **INSTANCE_OPTIONS}

SPOT_REQUEST_INFO_OPTIONS: dict[str, Spec] = {
    "fleet": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
}

SPOT_PRICE_INFO_OPTIONS: dict[str, Spec] = {
    "plans": {"type": "list", "elements": "str", "default": []},
    "metros": {"type": "list", "elements": "str", "default": []},
}
