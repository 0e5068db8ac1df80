# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluates the modules of nix/ with a real Nix and the library of nixpkgs, where there is one.

NIXMETAL_NIXPKGS_LIB names a checkout of nixpkgs, or of github.com/nix-community/nixpkgs.lib (which is that library alone).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CHECKOUT = Path(__file__).resolve().parents[3]
VARIABLE = "NIXMETAL_NIXPKGS_LIB"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWPjc0g8uVZr1oVTGbkXkjVQTzzHRQ0Mx6IYHMV2O4w hydra@example.org"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAFnUsX/cNrRnoA76wZnJ1yLvMNv3NFDK+k3WBLWqTdn alice@example.org"
LEAST: dict[str, Any] = {"authorizedKeys": [KEY]}


class Case(NamedTuple):
    """A configuration to evaluate."""

    name: str
    settings: dict[str, Any]
    system: str = "x86_64-linux"
    modules: tuple[str, ...] = ()


def library() -> Path:
    """The directory `lib` of nixpkgs; a test without it is skipped, and says so."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(
            f"*** THE NIXOS MODULES ARE NOT EVALUATED: there is no library of nixpkgs. Set {VARIABLE} to a checkout of "
            "nixpkgs, or of github.com/nix-community/nixpkgs.lib. ***"
        )
    found = Path(named) / "lib"
    assert (found / "modules.nix").is_file(), f"{VARIABLE} is {named}, which has no lib/modules.nix"
    return found


def instantiate(real_nix: RealNix, expression: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nix-instantiate", "--eval", *options, "--strict", "--json", "--expr", expression],
        env=real_nix.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def evaluate_text(real_nix: RealNix, expression: str) -> Any:
    """The value of an expression."""
    done = instantiate(real_nix, expression)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def run(real_nix: RealNix, directory: Path, cases: list[Case], *options: str) -> subprocess.CompletedProcess[str]:
    lib = library()
    (directory / "cases.json").write_text(json.dumps([case._asdict() for case in cases]))
    return instantiate(
        real_nix,
        f"import {CHECKOUT}/nix/tests/evaluate.nix "
        f'{{ lib = "{lib}"; cases = builtins.fromJSON (builtins.readFile {directory}/cases.json); }}',
        *options,
    )


def evaluate(real_nix: RealNix, directory: Path, cases: list[Case], *options: str) -> dict[str, Any]:
    done = run(real_nix, directory, cases, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def one(real_nix: RealNix, directory: Path, settings: dict[str, Any], system: str = "x86_64-linux") -> dict[str, Any]:
    """The configuration with these settings besides the least ones."""
    case = Case("one", LEAST | settings, system)
    report = evaluate(real_nix, directory, [case])["cases"]["one"]
    assert report["complaints"] == []
    configuration: dict[str, Any] = report["configuration"]
    return configuration
