# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What joins a module to the code that does its work: the client from its options, and errors as one message."""

from __future__ import annotations

import os
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.parameters import env_fallback

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import arguments, sdk, settings
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import LibraryMissing, MetalError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import SdkTransport


def make_module(options: arguments.Spec, **conditions: Any) -> AnsibleModule:
    """A module with the options of the connection beside its own."""
    spec = {**arguments.connection_spec(env_fallback), **options}
    return AnsibleModule(argument_spec=spec, supports_check_mode=True, **conditions)  # type: ignore[no-untyped-call]


def make_client(options: dict[str, Any]) -> Client:
    """A client for a module's own process, over the SDK's connections."""
    checked = settings.from_options(options, os.environ)
    return Client(checked, SdkTransport(checked, sdk.load_lean()))


def run(module: AnsibleModule, work: Callable[[dict[str, Any], bool], dict[str, Any]]) -> None:
    """Hand the options and the check mode to the work, and its result, or what went wrong, to Ansible."""
    try:
        result = work(module.params, module.check_mode)
    except LibraryMissing as error:
        message = missing_required_lib(error.library)  # type: ignore[no-untyped-call]
        module.fail_json(msg=message, details=str(error))
    except MetalError as error:
        module.fail_json(msg=str(error), **error.known)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)
