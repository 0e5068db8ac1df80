# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API that says what it is told to, and clients of it that neither sleep nor use the network.

The collection is imported inside the fixtures: a conftest can be loaded before Ansible's importer is in place.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Call, Failure

TOKEN = "tok-0123456789"
PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"


class Sleeper:
    """A clock that moves only when someone sleeps."""

    def __init__(self) -> None:
        from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock

        self.now = 0.0
        self.slept: list[float] = []
        self.clock = Clock(monotonic=lambda: self.now, sleep=self.sleep, random=lambda: 0.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Scripted:
    """A transport that gives what it was told to, in turn, or by a function of the call."""

    def __init__(self, *outcomes: Answer | Failure, by: Callable[[Call], Answer | Failure] | None = None) -> None:
        self.outcomes = list(outcomes)
        self.by = by
        self.calls: list[Call] = []

    def send(self, call: Call) -> Answer | Failure:
        self.calls.append(call)
        return self.by(call) if self.by else self.outcomes.pop(0)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def client_of(sleeper: Sleeper) -> Callable[..., Client]:
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings

    def make(transport: Any, tries: int = 4) -> Client:
        settings = Settings(url="https://metal.test/metal/v1", token=TOKEN, project_id=PROJECT, tries=tries)
        return Client(settings, transport, sleeper.clock, now=lambda: 0.0)

    return make


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def answered() -> Callable[..., Answer]:
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer

    def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Answer(status, raw, {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def load_beside(name: str) -> Any:
    """A module that lies beside this file."""
    specification = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def in_memory() -> Any:
    return load_beside("metal_in_memory")


@pytest.fixture
def emulation() -> Any:
    return load_beside("metal_emulated")


@pytest.fixture
def api(emulation: Any, tmp_path: Path) -> Iterator[Any]:
    """The lab's emulator, reached without a network."""
    with emulation.emulated(tmp_path) as made:
        yield made
