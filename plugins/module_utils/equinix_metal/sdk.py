# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the equinix-metal SDK that this collection stands on: its configuration, its connections and its error.

The SDK's per-call classes are left aside. Their models lose fields (a bid's ipxe_script_url), and refuse whole answers for one
unknown value, even after the thing that was asked for has been bought; and importing them is most of the SDK's start. So is its
client, which writes URL and headers, as `transport.py` does too: it brings pydantic along, for answers that are not used here.

`import equinix_metal` loads every model: 2 s of CPU, more than a module's whole work, or than listing 2,000 machines. So just these
parts are loaded, behind packages whose __init__ has not run, and those packages are forgotten afterwards: whoever imports the SDK
later in the same process, as another inventory plugin may, gets it whole, and anew. Where it is loaded already, it is used as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import LibraryMissing

PACKAGE = "equinix_metal"
LIBRARY = "equinix-metal"


class Sdk:
    """The classes that are used, however they were loaded."""

    def __init__(self, rest: types.ModuleType, configuration: types.ModuleType, exceptions: types.ModuleType) -> None:
        self.connections: Any = rest.RESTClientObject
        self.configuration: Any = configuration.Configuration
        self.error: Any = exceptions.ApiException


def load_whole() -> Sdk:
    """Import the SDK as its authors meant it."""
    try:
        importlib.import_module(PACKAGE)
        return _load_parts()
    except ImportError as error:
        raise LibraryMissing(LIBRARY, str(error)) from error


def load_lean() -> Sdk:
    """Import these parts alone. Inventory plugins are run one after another, so nobody else imports it meanwhile."""
    if PACKAGE in sys.modules:
        return load_whole()
    specification = importlib.util.find_spec(PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        raise LibraryMissing(LIBRARY, f"No module named '{PACKAGE}'")
    _put_bare_package(next(iter(specification.submodule_search_locations)))
    try:
        return _load_parts()
    except ImportError as error:
        raise LibraryMissing(LIBRARY, str(error)) from error
    finally:
        _forget_package()


def _load_parts() -> Sdk:
    parts = [importlib.import_module(f"{PACKAGE}.{name}") for name in ("rest", "configuration", "exceptions")]
    return Sdk(*parts)


def _put_bare_package(directory: str) -> None:
    package = types.ModuleType(PACKAGE)
    package.__path__ = [directory]
    sys.modules[PACKAGE] = package


def _forget_package() -> None:
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
        del sys.modules[name]
