# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role nix_host on this machine, with a program that stands in for Nix and a configuration file of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]
PLAYBOOK = [{"hosts": "localhost", "gather_facts": False, "roles": ["nixmetal.builders.nix_host"]}]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "play.yml").write_text(json.dumps(PLAYBOOK))
    (tmp_path / "bin").mkdir()
    return tmp_path


def with_nix(host: Path) -> None:
    script = host / "bin" / "nix-store"
    script.write_text(f'#!/bin/sh\ncase "$1" in --init) echo "$NIX_REMOTE" >{host}/database ;; esac\n')
    script.chmod(0o755)


def run(host: Path, *options: str, **variables: Any) -> tuple[int, dict[str, int], str]:
    given = {
        "__nix_host_path": f"{host}/bin:/usr/bin:/bin",
        "__nix_host_database": str(host / "database"),
        "nix_host_conf": str(host / "etc/nix.conf"),
        "nix_host_build_users_group": "no-such-group",
        "__nix_host_default_group": "no-group-either",
        "nix_host_install": False,
        **variables,
    }
    command = [str(CHECKOUT / ".venv/bin/ansible-playbook"), str(host / "play.yml"), "-e", json.dumps(given), *options]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    recap = done.stdout.rpartition("localhost")[2]
    counts = {word.split("=")[0]: int(word.split("=")[1]) for word in recap.split() if "=" in word}
    return done.returncode, counts, done.stdout + done.stderr


def test_a_host_without_nix_is_named_with_the_remedy(host: Path) -> None:
    code, counts, output = run(host)
    assert code != 0
    assert counts["changed"] == 0
    assert "Nix is not installed on localhost" in " ".join(output.split())
    assert "nix_host_install: true" in " ".join(output.split())


def test_settings_are_foretold_written_once_and_changed(host: Path) -> None:
    with_nix(host)
    settings: dict[str, Any] = {
        "max-jobs": 4,
        "sandbox": False,
        "substituters": [],
        "system-features": ["kvm", "benchmark"],
    }
    conf = host / "etc/nix.conf"

    code, counts, output = run(host, "--check", "--diff", nix_host_settings=settings)
    assert (code, conf.exists(), (host / "database").exists()) == (0, False, False)
    assert "+max-jobs = 4" in output

    code, counts, output = run(host, nix_host_settings=settings)
    assert (code, counts["changed"]) == (0, 3), output
    assert conf.read_text().splitlines() == [
        "# BEGIN nixmetal.builders.nix_host",
        "build-users-group =",
        "max-jobs = 4",
        "sandbox = false",
        "substituters =",
        "system-features = kvm benchmark",
        "# END nixmetal.builders.nix_host",
    ]
    assert (host / "database").read_text() == "local\n"

    conf.write_text("# the operator's own\ncores = 2\n" + conf.read_text())
    code, counts, output = run(host, nix_host_settings=settings)
    assert (code, counts["changed"]) == (0, 0), output

    code, counts, output = run(host, nix_host_settings={"max-jobs": 8}, nix_host_trusted_users=["root", "@wheel"])
    assert (code, counts["changed"]) == (0, 1), output
    text = conf.read_text()
    assert text.startswith("# the operator's own\ncores = 2\n")
    assert "max-jobs = 8\n" in text
    assert "trusted-users = root @wheel\n" in text
    assert "sandbox" not in text


def test_a_host_that_has_its_users_and_its_group_keeps_them(host: Path) -> None:
    with_nix(host)
    conf = host / "etc/nix.conf"
    conf.parent.mkdir()
    # A group that every host has stands for one of build users with another name.
    own = "trusted-users = root @wheel\nbuild-users-group = no-such\nbuild-users-group = daemon\n"
    conf.write_text(own)
    (host / "database").touch()

    code, counts, output = run(host)
    assert (code, counts["changed"], conf.read_text()) == (0, 0, own), output

    # A block of before does not speak for the host.
    block = "# BEGIN nixmetal.builders.nix_host\n{}# END nixmetal.builders.nix_host\n"
    conf.write_text(own + block.format("build-users-group =\ntrusted-users = root\n"))
    code, counts, output = run(host, nix_host_settings={"cores": 1})
    assert (code, counts["changed"]) == (0, 1), output
    assert conf.read_text() == own + block.format("cores = 1\n")


def test_a_group_that_does_not_exist_gives_way(host: Path) -> None:
    with_nix(host)
    for _run in range(2):
        code, counts, output = run(host, nix_host_build_users_group="daemon")
        assert code == 0, output
        assert "build-users-group = daemon\n" in (host / "etc/nix.conf").read_text()
    assert counts["changed"] == 0
