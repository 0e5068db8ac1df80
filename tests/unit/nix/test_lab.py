# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab image's expression, with real Nix and packages that are only names."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request

sys.path.insert(0, str(Path(__file__).parent))

from evaluation import KEY, LEAST, Case
from evaluation import evaluate as evaluate_modules

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

LAB = Path(__file__).resolve().parents[3] / "nix/lab"


def names_in(list_name: str) -> list[str]:
    return [line for line in (LAB / list_name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    directory = tmp_path / "packages"
    directory.mkdir()
    for name in [*names_in("packages.txt"), "libc6", "linux-image-6.1.0-1-cloud-amd64"]:
        (directory / f"{name}_1%3a1.0~rc1-1_amd64.deb").write_text(name)
    return directory


def requisites(real_nix: RealNix, derivation: str, end: str) -> dict[str, str]:
    """What the derivation needs, of these file names: by name, without the hash."""
    lines = real_nix.nix().run("nix-store", "--query", "--requisites", derivation).lines
    return {line.rpartition("/")[2][33:]: line for line in lines if line.endswith(end)}


def evaluate(real_nix: RealNix, packages: Path, **args: object) -> str:
    given = {"packages": str(packages), "authorizedKeys": ["ssh-ed25519 AAAA"], "busybox": real_nix.busybox, **args}
    return build(real_nix.nix(), Request(Source(file=str(LAB), args=given), evaluate_only=True)).derivation


def test_each_group_is_cut_by_itself_and_keys_change_one(real_nix: RealNix, packages: Path) -> None:
    one = requisites(real_nix, evaluate(real_nix, packages), ".drv")
    two = requisites(real_nix, evaluate(real_nix, packages, authorizedKeys=["ssh-ed25519 BBBB"]), ".drv")
    groups = ("05-curl", "10-libraries", "20-ssh", "30-nix", "90-settings")
    assert {f"segment-{group}.drv" for group in groups} <= set(one)
    assert sorted(name for name in one if one[name] != two[name]) == [
        "lab-image.drv",
        "segment-90-settings.drv",
        "settings.drv",
    ]


def segments(real_nix: RealNix, packages: Path, **args: object) -> list[str]:
    derivation = Path(evaluate(real_nix, packages, **args)).read_text(encoding="utf-8")
    return re.findall(r"(\d\d-[a-z-]+\.squashfs) ", derivation.partition('("segments",')[2].partition(")")[0])


def test_ipxe_loads_them_all_or_stage_1_fetches_them(real_nix: RealNix, packages: Path) -> None:
    assert segments(real_nix, packages) == [
        "10-libraries.squashfs",
        "20-ssh.squashfs",
        "30-nix.squashfs",
        "90-settings.squashfs",
    ]
    assert segments(real_nix, packages, loader="ipxe") == []
    with pytest.raises(NixError, match="loader is 'grub': say stage-1 or ipxe"):
        segments(real_nix, packages, loader="grub")


def bring_disks(packages: Path) -> None:
    """What an image that erases disks is made of besides."""
    for name in [*names_in("disks.txt"), "linux-image-6.1.0-1-amd64"]:
        (packages / f"{name}_1_amd64.deb").write_text(name)


# What a machine runs of nix/lib, and what its image is made with.
SHARED = {
    *("build-command.sh", "facts.sh", "phone-home.sh", "fetch-segments.sh"),
    *("choose-disks.sh", "wipe-disks.sh", "encrypted-swap.sh"),
    *("cut-segment.sh", "image.sh", "manifest.sh", "netboot-script.sh"),
}


def test_the_lab_runs_the_files_that_production_runs(real_nix: RealNix, packages: Path, tmp_path: Path) -> None:
    """Of equal content, for equal store paths: what is seen of them in the lab holds for production."""
    bring_disks(packages)
    lab = requisites(real_nix, evaluate(real_nix, packages, disks=["type=virtio"], eraseDisks=True), ".sh")
    root = {"type": "encrypted-swap", "disks": ["type=virtio"], "eraseDisks": True}
    case = Case("production", LEAST | {"factsKeys": [KEY], "root": root, "image": {"loader": "stage-1"}})
    report = evaluate_modules(real_nix, tmp_path, [case], "--read-write-mode")["cases"]["production"]
    image = requisites(real_nix, report["configuration"]["system"]["image"], ".sh")
    production = image | {path.rpartition("/")[2][33:]: path for path in report["sources"]}
    assert lab.items() & production.items() == {(name, lab.get(name)) for name in SHARED}
    # Nor has anything else of the lab a name of production's and other content.
    assert lab.keys() & production.keys() == SHARED


def test_disks_are_erased_by_an_image_that_says_so(real_nix: RealNix, packages: Path) -> None:
    with pytest.raises(NixError, match=r"disks is type=virtio: every machine that boots this image ERASES such disks"):
        evaluate(real_nix, packages, disks=["type=virtio"])
    with pytest.raises(
        NixError, match="lacks cryptsetup-bin, dash, linux-image-amd64, mount, util-linux: download them"
    ):
        evaluate(real_nix, packages, disks=["type=virtio"], eraseDisks=True)
    bring_disks(packages)
    assert "40-disks.squashfs" in segments(real_nix, packages, disks=["type=virtio"], eraseDisks=True)
    # The packages are there and nobody asked for them.
    assert "40-disks.squashfs" not in segments(real_nix, packages)


def test_what_is_missing_is_named(real_nix: RealNix, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(NixError, match="There is no directory /nonexistent on the machine that evaluates"):
        evaluate(real_nix, Path("/nonexistent"))
    with pytest.raises(NixError, match=r"There is no /nonexistent/busybox .*install busybox-static"):
        evaluate(real_nix, packages, busybox="/nonexistent/busybox")
    next(packages.glob("nix-bin_*")).unlink()
    next(packages.glob("curl_*")).unlink()
    with pytest.raises(NixError, match="lacks curl, nix-bin: download them"):
        evaluate(real_nix, packages)


def test_two_versions_of_one_package_are_refused(real_nix: RealNix, packages: Path) -> None:
    (packages / "curl_9.0_amd64.deb").write_text("newer")
    with pytest.raises(NixError, match=r"more than one version.*curl_1%3a1.0~rc1-1_amd64.deb, curl_9.0_amd64.deb"):
        evaluate(real_nix, packages)
