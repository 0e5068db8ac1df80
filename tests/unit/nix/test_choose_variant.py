# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine takes on, by its hostname, else its plan, with every shell that an image has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import LIBRARY, NAMES
from shells import shell as find_shell

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

SCRIPT = LIBRARY / "choose-variant.sh"
TABLE = """\
# NAME HOSTNAMES PLANS JOBS CORES SPEED SYSTEMS FEATURES MANDATORY
c3--big *--big-parallel,big-* c3.medium.x86 2 24 2 x86_64-linux,i686-linux kvm,big-parallel big-parallel
pet carthage - 4 4 1 x86_64-linux kvm -
c3 - c3.medium.x86 24 2 1 x86_64-linux,i686-linux kvm,nixos-test -
arm - c3.large.arm64,c3.large.arm 40 2 1 aarch64-linux,armv7l-linux,armv6l-linux kvm -

any--big *--big-parallel - 2 - 1 x86_64-linux big-parallel -
any - - - 2 1 x86_64-linux - -
"""


@pytest.fixture(params=NAMES)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return find_shell(request.param)


def run(
    shell: list[str], directory: Path, *who: str, table: str = TABLE, processors: int = 48, runs_arm: bool = True
) -> subprocess.CompletedProcess[str]:
    (directory / "table").write_text(table)
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    setarch = programs / "setarch"
    setarch.write_text(f'#!/bin/sh\n[ "$1" = linux32 ] || exit 2\nexit {0 if runs_arm else 1}\n')
    setarch.chmod(0o755)
    return subprocess.run(
        [*shell, str(SCRIPT), str(directory / "table"), str(directory), *who],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "NIXMETAL_PROCESSORS": str(processors)},
        capture_output=True,
        text=True,
        check=False,
    )


def settings(directory: Path) -> dict[str, str]:
    lines = (directory / "nix.conf").read_text().splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def environment(directory: Path) -> dict[str, str]:
    """What a shell makes of the file; systemd reads the same syntax."""
    names = [line.partition("=")[0] for line in (directory / "variant.env").read_text().splitlines()]
    print_all = "; ".join(f'printf "%s\\0" "${name}"' for name in names)
    answer = subprocess.run(
        ["sh", "-c", f". {directory}/variant.env; {print_all}"], capture_output=True, text=True, check=True
    )
    return dict(zip(names, answer.stdout.split("\0"), strict=False))


@pytest.mark.parametrize(
    ("hostname", "plan", "name", "jobs", "cores"),
    [
        pytest.param("hydra-1", "c3.medium.x86", "c3", "24", "2", id="plan"),
        pytest.param("x--big-parallel", "c3.medium.x86", "c3--big", "2", "24", id="hostname"),
        pytest.param("big-one", "c3.medium.x86", "c3--big", "2", "24", id="second pattern"),
        pytest.param("big-one", "m3.large.x86", "any", "24", "2", id="hostname of another plan"),
        pytest.param("x--big-parallel", "m3.large.x86", "any--big", "2", "24", id="hostname of any plan"),
        pytest.param("carthage", "c3.medium.x86", "pet", "4", "4", id="hostname before plan"),
        pytest.param("hydra-1", "unheard.of", "any", "24", "2", id="unknown plan"),
        pytest.param("", "", "any", "24", "2", id="nothing known"),
        pytest.param("hydra-1", "c3.medium", "any", "24", "2", id="not a part of a name"),
    ],
)
def test_the_hostname_counts_first_then_the_plan(
    shell: list[str], tmp_path: Path, hostname: str, plan: str, name: str, jobs: str, cores: str
) -> None:
    done = run(shell, tmp_path, hostname, plan)
    assert done.returncode == 0, done.stderr
    assert environment(tmp_path)["NIXMETAL_VARIANT"] == name
    assert (settings(tmp_path)["max-jobs"], settings(tmp_path)["cores"]) == (jobs, cores)


def test_both_files_say_the_same(shell: list[str], tmp_path: Path) -> None:
    assert run(shell, tmp_path, "x--big-parallel", "c3.medium.x86").returncode == 0
    assert settings(tmp_path) == {
        "max-jobs": "2",
        "cores": "24",
        "system-features": "kvm big-parallel",
        "extra-platforms": "i686-linux",
    }
    assert environment(tmp_path) == {
        "NIXMETAL_VARIANT": "c3--big",
        "NIXMETAL_SYSTEMS": "x86_64-linux i686-linux",
        "NIXMETAL_FEATURES": "kvm big-parallel",
        "NIXMETAL_MANDATORY_FEATURES": "big-parallel",
        "NIXMETAL_MAX_JOBS": "2",
        "NIXMETAL_SPEED_FACTOR": "2",
    }


@pytest.mark.parametrize("processors", [1, 2, 7, 96])
def test_a_machine_that_no_line_knows_counts_its_processors(shell: list[str], tmp_path: Path, processors: int) -> None:
    assert run(shell, tmp_path, "a", "b", processors=processors).returncode == 0
    assert settings(tmp_path)["max-jobs"] == str(max(1, processors // 2))


def test_jobs_times_cores_that_are_not_the_processors_are_told(shell: list[str], tmp_path: Path) -> None:
    assert run(shell, tmp_path, "a", "c3.medium.x86", processors=48).stderr == ""
    done = run(shell, tmp_path, "a", "c3.medium.x86", processors=24)
    assert done.returncode == 0
    assert "24 jobs of 2 cores, but this machine has 24 processors: correct variant 'c3'" in done.stderr


@pytest.mark.parametrize(
    ("runs_arm", "systems"), [(True, "aarch64-linux armv7l-linux armv6l-linux"), (False, "aarch64-linux")]
)
def test_32_bit_arm_is_offered_where_the_processor_runs_it(
    shell: list[str], tmp_path: Path, runs_arm: bool, systems: str
) -> None:
    done = run(shell, tmp_path, "a", "c3.large.arm", processors=80, runs_arm=runs_arm)
    assert done.returncode == 0
    assert environment(tmp_path)["NIXMETAL_SYSTEMS"] == systems
    assert settings(tmp_path)["extra-platforms"] == systems.partition(" ")[2]
    assert ("does not run armv7l-linux" in done.stderr) is not runs_arm


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("c3 - c3.medium.x86 24 2 1 x86_64-linux kvm -\n", "no variant for hostname 'a' and plan 'b'"),
        ("any - - 2 1 x86_64-linux kvm -\n", "the line of 'any' has not nine words"),
        ("any - - 2 1 1 x86_64-linux kvm - more\n", "the line of 'any' has not nine words"),
        ("any - - many 1 1 x86_64-linux kvm -\n", "jobs of 'any' is 'many'"),
        ("any - - 0 1 1 x86_64-linux kvm -\n", "jobs of 'any' is '0'"),
        ("any - - - - 1 x86_64-linux kvm -\n", "leaves both jobs and cores open"),
        ("any - - 1 1 fast x86_64-linux kvm -\n", "speed of 'any' is 'fast'"),
        ("any - - 1 1 1 - kvm -\n", "no system that this machine runs"),
    ],
)
def test_a_table_that_does_not_help_leaves_nothing(
    shell: list[str], tmp_path: Path, table: str, complaint: str
) -> None:
    done = run(shell, tmp_path, "a", "b", table=table)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not (tmp_path / "nix.conf").exists()
    assert not (tmp_path / "variant.env").exists()


def test_a_hostname_is_data(shell: list[str], tmp_path: Path) -> None:
    """Neither a pattern nor a command in what the network says is more than a text."""
    for hostname in ("*", "$(touch pwned)", "carthage; true", "car*"):
        assert run(shell, tmp_path, hostname, "c3.medium.x86").returncode == 0
        assert environment(tmp_path)["NIXMETAL_VARIANT"] == "c3"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("hostname", "jobs", "features"),
    [("x--big-parallel", 2, ["big-parallel", "kvm"]), ("hydra-1", 24, ["kvm", "nixos-test"])],
)
def test_nix_reads_it_as_the_image_includes_it(
    real_nix: RealNix, tmp_path: Path, hostname: str, jobs: int, features: list[str]
) -> None:
    assert run(["sh"], tmp_path, hostname, "c3.medium.x86").returncode == 0
    configuration = Path(real_nix.environment["NIX_CONF_DIR"])
    configuration.mkdir(parents=True)
    # As nix/modules/variants.nix has it, after what NixOS says.
    (configuration / "nix.conf").write_text(f"max-jobs = auto\ncores = 0\n!include {tmp_path}/nix.conf\n")
    for command in (["config", "show"], ["show-config"]):
        answer = subprocess.run(
            ["nix", "--extra-experimental-features", "nix-command", *command, "--json"],
            env=real_nix.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode == 0:
            break
    assert answer.returncode == 0, answer.stderr
    assert "warning" not in answer.stderr
    said = {name: entry["value"] for name, entry in json.loads(answer.stdout).items()}
    assert (said["max-jobs"], said["cores"]) == (jobs, 48 // jobs)
    assert sorted(said["system-features"]) == features
    assert said["extra-platforms"] == ["i686-linux"]


def test_phone_home_takes_what_a_variant_says(shell: list[str], tmp_path: Path) -> None:
    assert run(shell, tmp_path, "a", "b").returncode == 0
    script = (LIBRARY / "phone-home.sh").read_text()
    assert [name for name in environment(tmp_path) if f"${{{name}:-" not in script] == ["NIXMETAL_VARIANT"]
