# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads the programs of tests/benchmarks, which are no package and share names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    """By the path below tests/benchmarks, without .py."""

    def program(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmarks_{path.replace('/', '_')}", BENCHMARKS / f"{path}.py")
        assert spec
        assert spec.loader
        made = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = made  # where dataclasses look for it
        spec.loader.exec_module(made)
        return made

    return program
