# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nix/default.nix and nix/flake.nix: which images they have, and what arguments do, with a stand-in for nixpkgs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from evaluation import CHECKOUT, KEY, evaluate_text, library

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source, evaluation

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

PLANS = [json.loads(path.read_text()) for path in sorted((CHECKOUT / "nix/plans").glob("*.json"))]
SYSTEMS = ("x86_64-linux", "aarch64-linux")
LOADERS = ("ipxe", "stage-1")


@pytest.fixture
def nixpkgs(tmp_path: Path) -> Path:
    """What default.nix asks of nixpkgs: eval-config.nix."""
    directory = tmp_path / "nixpkgs" / "nixos" / "lib"
    directory.mkdir(parents=True)
    (directory / "eval-config.nix").write_text(
        f'arguments: import {CHECKOUT}/nix/tests/stand-in.nix (arguments // {{ lib = "{library()}"; }})\n'
    )
    return tmp_path / "nixpkgs"


def names(system: str) -> set[str]:
    plans = [plan for plan in PLANS if plan["system"] == system]
    slugs = [name.replace(".", "-") for plan in plans for name in [plan["slug"], *plan["aliases"]]]
    return {system} | {name + suffix for name in slugs for suffix in ("", "--big-parallel")}


def settings(configuration: str) -> str:
    return f"(import {CHECKOUT}/nix {{ nixpkgs = NIXPKGS; settings.authorizedKeys = [ KEY ]; {configuration} }})"


def ask(real_nix: RealNix, nixpkgs: Path, expression: str) -> Any:
    text = f'let NIXPKGS = {nixpkgs}; KEY = "{KEY}"; in {expression}'
    return evaluate_text(real_nix, text)


@pytest.mark.parametrize("system", SYSTEMS)
def test_there_is_an_image_for_each_plan_and_each_of_its_names(real_nix: RealNix, nixpkgs: Path, system: str) -> None:
    assert set(ask(real_nix, nixpkgs, settings("") + f".names.{system}")) == names(system)


def test_every_image_evaluates(real_nix: RealNix, nixpkgs: Path) -> None:
    images = ask(real_nix, nixpkgs, f"builtins.mapAttrs (_: image: image.imageSystem) {settings('')}.images")
    assert images == {name: system for system in SYSTEMS for name in names(system)}


def test_the_name_of_an_image_is_stronger_than_settings(real_nix: RealNix, nixpkgs: Path) -> None:
    expression = f"""
      let all = (import {CHECKOUT}/nix {{ nixpkgs = NIXPKGS; settings = {{
        authorizedKeys = [ KEY ]; plans = [ "m3.large.x86" ]; builder.variant = "standard"; }}; }}).configurations;
      in builtins.mapAttrs (_: nixos: [ nixos.config.nixmetal.plans nixos.config.nixmetal.builder.variant ])
        {{ inherit (all) c3-medium-x86 c3-medium-x86--big-parallel x86_64-linux; }}
    """
    assert ask(real_nix, nixpkgs, expression) == {
        "c3-medium-x86": [["c3.medium.x86"], "standard"],
        "c3-medium-x86--big-parallel": [["c3.medium.x86"], "big-parallel"],
        "x86_64-linux": [["m3.large.x86"], "standard"],
    }


def test_the_manifest_says_for_which_plans_an_image_is(real_nix: RealNix, nixpkgs: Path) -> None:
    images = ask(
        real_nix, nixpkgs, f"builtins.mapAttrs (_: image: builtins.fromJSON image.plansJson) {settings('')}.images"
    )
    assert images["c3-large-arm"] == images["c3-large-arm64"] == ["c3.large.arm64", "c3.large.arm"]
    assert set(images["x86_64-linux"]) == {plan["slug"] for plan in PLANS if plan["system"] == "x86_64-linux"}


def test_modules_of_the_operator_are_found_by_path_and_beside_the_expressions(
    real_nix: RealNix, nixpkgs: Path, tmp_path: Path
) -> None:
    module = tmp_path / "module.nix"
    module.write_text('{ system.stateVersion = "25.11"; }\n')
    expression = settings(f'modules = [ "{module}" ];') + ".configurations.x86_64-linux.config.system.stateVersion"
    assert ask(real_nix, nixpkgs, expression) == "25.11"
    # No module, but it is found: its names are no options.
    with pytest.raises(AssertionError, match=r"plans/default\.nix"):
        ask(real_nix, nixpkgs, settings('modules = [ "plans/default.nix" ];') + ".images.x86_64-linux.drvPath")


def test_nix_build_takes_the_settings_as_values(real_nix: RealNix, nixpkgs: Path) -> None:
    """As roles/netboot_image calls it: file, attr and args."""
    arguments = {"nixpkgs": str(nixpkgs), "settings": {"authorizedKeys": [KEY], "image": {"name": "mine"}}}
    source = Source(file=str(CHECKOUT / "nix/default.nix"), attr="images.c3-medium-x86", args=arguments)
    with evaluation(real_nix.nix(), source) as image:
        assert image.foretell().endswith("-mine.drv")


def test_a_setting_that_is_wrong_reaches_whoever_builds(real_nix: RealNix, nixpkgs: Path) -> None:
    arguments = {"nixpkgs": str(nixpkgs), "settings": {"authorizedKey": [KEY]}}
    source = Source(file=str(CHECKOUT / "nix/default.nix"), attr="images.c3-medium-x86", args=arguments)
    with evaluation(real_nix.nix(), source) as image, pytest.raises(NixError, match=r"nixmetal\.authorizedKey"):
        image.foretell()


def test_the_flake_has_what_hydra_and_operators_look_for(real_nix: RealNix, nixpkgs: Path) -> None:
    outputs = f"""
      let nixpkgs = {{
            outPath = "{nixpkgs}"; lib = import {library()};
            legacyPackages = {{ x86_64-linux.nixfmt = 1; aarch64-linux.nixfmt = 1; }};
          }};
          outputs = (import {CHECKOUT}/nix/flake.nix).outputs {{ self = outputs; inherit nixpkgs; }};
    """
    answer = ask(
        real_nix,
        nixpkgs,
        f"""{outputs} in {{
          packages = builtins.mapAttrs (_: builtins.attrNames) outputs.packages;
          checks = builtins.mapAttrs (_: builtins.attrNames) outputs.checks;
          configurations = builtins.attrNames outputs.nixosConfigurations;
          jobs = builtins.attrNames outputs.hydraJobs;
          system = (outputs.lib.images {{ settings.authorizedKeys = [ KEY ]; }}).c3-large-arm.imageSystem;
        }}""",
    )
    assert {system: set(found) for system, found in answer["packages"].items()} == {
        system: names(system) for system in SYSTEMS
    }
    roots = ("encrypted-swap", "tmpfs", "zfs-stripe")
    assert answer["checks"] == {"x86_64-linux": [f"{root}-by-{loader}" for root in roots for loader in LOADERS]}
    assert set(answer["configurations"]) == names("x86_64-linux") | names("aarch64-linux")
    # Without settings of the operator's there is no image to build.
    assert answer["jobs"] == ["checks"]
    assert answer["system"] == "aarch64-linux"


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("root", ["tmpfs", "encrypted-swap", "zfs-stripe"])
def test_the_check_of_a_network_boot_evaluates(real_nix: RealNix, nixpkgs: Path, root: str, loader: str) -> None:
    """Its image and its script, down to the syntax: the machine itself starts only where nixpkgs is."""
    (nixpkgs / "default.nix").write_text(
        f'{{ system }}: {{ lib = import {library()}; bash = "/nix/store/0-bash"; qemu_test = "/nix/store/0-qemu"; '
        "testers.runNixOSTest = test: test; }\n"
    )
    (nixpkgs / "nixos/lib/qemu-common.nix").write_text(
        '{ lib, pkgs }: { qemuBinary = package: "${package}/bin/qemu"; }\n'
    )
    instrumentation = nixpkgs / "nixos/modules/testing/test-instrumentation.nix"
    instrumentation.parent.mkdir(parents=True)
    # Beside it what the stand-ins do not declare, for the check alone sets it.
    instrumentation.write_text("{ lib, ... }: { options.system.extraDependencies = lib.mkOption { }; }\n")
    arguments = f'nixpkgs = NIXPKGS; system = "x86_64-linux"; root = "{root}"; loader = "{loader}";'
    expression = f"import {CHECKOUT}/nix/tests/netboot.nix {{ {arguments} }}"
    test = ask(real_nix, nixpkgs, f"{{ inherit ({expression}) name testScript; }}")
    assert test["name"] == f"nixmetal-netboot-{root}-{loader}"
    compile(test["testScript"], "testScript", "exec")
    assert ",bootfile=http://10.0.2.2:{server.server_port}/netboot.ipxe " in test["testScript"]
    assert ("nixmetal-fetch-segments" in test["testScript"]) == (loader == "stage-1")
    assert f"== {'1' if root == 'encrypted-swap' else '0'}, swaps" in test["testScript"]
