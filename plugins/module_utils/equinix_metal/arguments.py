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
        "metal_auth_token_file": {
            "type": "path",
            "no_log": False,
            "fallback": (fallback, list(settings.TOKEN_FILE_NAMES)),
        },
        "project_id": {"type": "str", "fallback": (fallback, list(settings.PROJECT_NAMES))},
        "metal_api_timeout": {"type": "float", "default": 30, "fallback": (fallback, list(settings.TIMEOUT_NAMES))},
        "metal_api_tries": {"type": "int", "default": 5, "fallback": (fallback, list(settings.TRIES_NAMES))},
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
    "private_ipv4_subnet_size": {"type": "int"},
    "public_ipv4_subnet_size": {"type": "int"},
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

# An order of a single machine has one hostname, and names its subnets in ip_addresses.
ONLY_OF_REQUESTS = ("hostnames", "private_ipv4_subnet_size", "public_ipv4_subnet_size")

# Options whose value goes into the order of a single machine under the same name. Those of UPDATABLE can be changed later.
DEVICE_FIELDS: dict[str, Spec] = {
    **{name: spec for name, spec in INSTANCE_OPTIONS.items() if name not in ONLY_OF_REQUESTS},
    "hardware_reservation_id": {"type": "str"},
    "ip_addresses": {"type": "list", "elements": "dict"},
    "network_frozen": {"type": "bool"},
    "spot_price_max": {"type": "float"},
}
UPDATABLE = (
    "hostname",
    "description",
    "always_pxe",
    "ipxe_script_url",
    "userdata",
    "customdata",
    "locked",
    "billing_cycle",
    "network_frozen",
)

DEVICE_OPTIONS: dict[str, Spec] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fleet": {"type": "str", "required": True},
    "name": {"type": "str"},
    "device_id": {"type": "str"},
    "count": {"type": "int", "default": 1},
    "surplus": {"type": "str", "choices": ["keep", "end"], "default": "keep"},
    "leaving": {"type": "list", "elements": "str", "default": []},
    "metros": {"type": "list", "elements": "str"},
    "cost_ceiling_usd_per_hour": {"type": "float"},
    "force_delete": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 1800},
    **DEVICE_FIELDS,
}

DEVICE_POWER_OPTIONS: dict[str, Spec] = {
    "state": {
        "type": "str",
        "choices": ["on", "off", "rebooted", "rescued", "reinstalled"],
        "required": True,
    },
    "fleet": {"type": "str", "required": True},
    "device_ids": {"type": "list", "elements": "str", "required": True, "aliases": ["device_id"]},
    "operating_system": {"type": "str"},
    "ipxe_script_url": {"type": "str"},
    "preserve_data": {"type": "bool"},
    "deprovision_fast": {"type": "bool"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 1800},
}

DEVICE_TAGS_OPTIONS: dict[str, Spec] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fleet": {"type": "str", "required": True},
    "machines": {"type": "dict", "required": True},
}

QUERY_OPTION: dict[str, Spec] = {"query": {"type": "str"}}

DEVICE_INFO_OPTIONS: dict[str, Spec] = {
    "fleet": {"type": "str"},
    "device_ids": {"type": "list", "elements": "str", "default": []},
    "tags": {"type": "list", "elements": "str", "default": []},
    "hostname": {"type": "str"},
    **QUERY_OPTION,
}

DEVICE_EVENT_INFO_OPTIONS: dict[str, Spec] = {
    "device_id": {"type": "str", "required": True},
    "types": {"type": "list", "elements": "str", "default": []},
    "limit": {"type": "int", "default": 100},
    **QUERY_OPTION,
}

PLAN_INFO_OPTIONS: dict[str, Spec] = {"plans": {"type": "list", "elements": "str", "default": []}, **QUERY_OPTION}

METRO_INFO_OPTIONS: dict[str, Spec] = {"metros": {"type": "list", "elements": "str", "default": []}, **QUERY_OPTION}

CAPACITY_INFO_OPTIONS: dict[str, Spec] = {
    "plans": {"type": "list", "elements": "str", "default": []},
    "metros": {"type": "list", "elements": "str", "default": []},
    "quantity": {"type": "int"},
    **QUERY_OPTION,
}

SPOT_REQUEST_INFO_OPTIONS: dict[str, Spec] = {
    "fleet": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    **QUERY_OPTION,
}

SPOT_PRICE_INFO_OPTIONS: dict[str, Spec] = {
    "plans": {"type": "list", "elements": "str", "default": []},
    "metros": {"type": "list", "elements": "str", "default": []},
    "history_from": {"type": "str"},
    "history_until": {"type": "str"},
    **QUERY_OPTION,
}
