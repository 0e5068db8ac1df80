# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of both stages, as systemd itself sees them: known settings, and an order without a circle.

systemd-analyze loads them with the units that come with systemd; those of NixOS that ours are ordered by stand beside them.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from evaluation import LEAST, Case, evaluate

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

SYSTEMD = Path("/lib/systemd/system")
ON_DISKS = {"disks": ["type=nvme"], "eraseDisks": True}
ROOTS: dict[str, dict[str, Any]] = {
    "tmpfs": {"type": "tmpfs"},
    "encrypted-swap": {"type": "encrypted-swap", **ON_DISKS},
    "zfs-stripe": {"type": "zfs-stripe", **ON_DISKS},
}
EARLY = "[Unit]\nDefaultDependencies=no\n"
RUN = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
# What NixOS's modules (systemd/initrd.nix, tasks/filesystems/zfs.nix) order these by.
OF_NIXOS = {
    "systemd-udevd.service": f"{EARLY}Before=sysinit.target\n{RUN}",
    "sshd.service": f"[Unit]\nAfter=network.target\n{RUN}",
    "zfs-import-nixmetal.service": f"{EARLY}Before=sysroot.mount\n{RUN}",
    "initrd-find-nixos-closure.service": f"{EARLY}Before=initrd.target\nRequiresMountsFor=/sysroot/nix/store\n{RUN}",
}


def setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def unit(service: dict[str, Any]) -> str:
    """The text of a unit. Programs are replaced: the verifier looks whether they are there."""
    lines = ["[Unit]"]
    lines += [
        f"{key.capitalize()}={' '.join(service[key])}"
        for key in ("requires", "wants", "after", "before")
        if service[key]
    ]
    lines += [f"{key}={setting(value)}" for key, value in service["unitConfig"].items()]
    lines += ["[Service]", "ExecStart=/bin/true"]
    lines += [f"{key}={setting(value)}" for key, value in service["serviceConfig"].items() if key != "ExecStart"]
    return "\n".join(lines) + "\n"


def mounts(configuration: dict[str, Any]) -> dict[str, str]:
    """The mounts of stage 1, which systemd makes of the fstab."""
    found = {"sysroot.mount": f"{EARLY}Before=initrd-root-fs.target\n[Mount]\nWhat=tmpfs\nWhere=/sysroot\nType=tmpfs\n"}
    for point in configuration["fileSystems"]:
        if point.startswith("/nix/.segments/"):
            name = point.rsplit("/", 1)[1]
            escaped = name.replace("-", "\\x2d")
            where = f"{EARLY}Before=initrd-fs.target\n[Mount]\nWhat=/segments/{name}\nWhere=/sysroot{point}\nType=squashfs\n"
            found[f"sysroot-nix-.segments-{escaped}.mount"] = where
    return found


def pull(directory: Path, by: str, kind: str, name: str) -> None:
    folder = directory / f"{by}.{kind}"
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(f"../{name}")


def write(directory: Path, services: dict[str, Any], others: dict[str, str]) -> None:
    for name, text in others.items():
        (directory / name).write_text(text)
    for name, service in services.items():
        (directory / f"{name}.service").write_text(unit(service))
        for key, kind in (("requiredBy", "requires"), ("wantedBy", "wants")):
            for target in service[key]:
                pull(directory, target, kind, f"{name}.service")


def verify(directory: Path, *names: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:{SYSTEMD}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr + done.stdout + ("" if done.returncode == 0 else f"exit code {done.returncode}")


@pytest.fixture
def systemd() -> None:
    if not shutil.which("systemd-analyze") or not (SYSTEMD / "initrd.target").exists():
        pytest.skip("no systemd-analyze here, so systemd cannot be asked about the units")


def test_a_circle_would_be_seen(systemd: None, tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.service").write_text(f"[Unit]\nRequires={other}.service\nAfter={other}.service\n{RUN}")
    assert "ordering cycle" in verify(tmp_path, "a.service")


def test_systemd_accepts_the_units_of_both_stages(systemd: None, real_nix: RealNix, tmp_path: Path) -> None:
    cases = [
        Case(
            f"{root}-{loader}",
            LEAST | {"root": ROOTS[root], "image": {"loader": loader}, "journal": {"url": "https://a"}},
        )
        for root, loader in itertools.product(ROOTS, ("ipxe", "stage-1"))
    ]
    for name, report in evaluate(real_nix, tmp_path, cases)["cases"].items():
        configuration = report["configuration"]
        for stage, services, target in (
            ("1", configuration["boot"]["initrd"]["systemd"]["services"], "initrd.target"),
            ("2", configuration["systemd"]["services"], "multi-user.target"),
        ):
            directory = tmp_path / f"{name}-{stage}"
            directory.mkdir()
            write(directory, services, OF_NIXOS | mounts(configuration))
            if stage == "1":
                pull(directory, "initrd-root-fs.target", "requires", "sysroot.mount")
                pull(directory, "initrd.target", "requires", "initrd-find-nixos-closure.service")
            said = verify(directory, target, *(f"{service}.service" for service in services))
            assert said == "", (name, stage)
