# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages about schedules, pipelines and credentials tell is there and works."""

from __future__ import annotations

import configparser
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
DOCS = CHECKOUT / "docs"
TIMERS = sorted(DOCS.glob("schedules/*.timer"))
SERVICE = DOCS / "schedules" / "nixmetal-playbook@.service"
PIPELINES = sorted(DOCS.glob("pipeline/*.yml"))
ANSIBLE = [sys.executable, "-m", "ansible"]


def ini(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def playbooks() -> set[str]:
    return {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}


def test_timers_run_playbooks_that_exist() -> None:
    assert [path.name for path in TIMERS] == [
        "nixmetal-autoscale.timer",
        "nixmetal-machines.timer",
        "nixmetal-reclaim.timer",
    ]
    for path in TIMERS:
        match = re.fullmatch(r"nixmetal-playbook@(\w+)\.service", ini(path)["Timer"]["Unit"])
        assert match, path
        assert match[1] in playbooks()
    assert "nixmetal.builders.%i" in ini(SERVICE)["Service"]["ExecStart"]


def test_nixos_module_has_the_same_timers() -> None:
    text = (DOCS / "schedules/nixos.nix").read_text(encoding="utf-8")
    every = dict(re.findall(r'^    (\w+) = "(\d+min)";', text, re.MULTILINE))
    assert every == {path.stem.removeprefix("nixmetal-"): ini(path)["Timer"]["OnUnitInactiveSec"] for path in TIMERS}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in TIMERS:
        shutil.copy(path, tmp_path)
    text = SERVICE.read_text(encoding="utf-8").replace("/opt/nixmetal/bin/ansible-playbook", "/bin/true")
    for path in TIMERS:
        (tmp_path / ini(path)["Timer"]["Unit"]).write_text(text, encoding="utf-8")
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in TIMERS)],
        capture_output=True, text=True, check=False, env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    complaints = [line for line in (run.stdout + run.stderr).splitlines() if "nixmetal" in line]
    assert (run.returncode, complaints) == (0, [])


def test_pipelines_run_playbooks_and_settings_that_exist() -> None:
    known = {
        name for path in CHECKOUT.glob("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text()) or {}
    }
    assert len(PIPELINES) == 2
    for path in PIPELINES:
        text = path.read_text(encoding="utf-8")
        assert yaml.safe_load(text)
        names = set(re.findall(r"nixmetal\.builders\.(\w+)", text))
        assert {"build", "rollout", "launch_spot"} <= names <= playbooks()
        assert set(re.findall(r"-e (\w+)=", text)) <= known


def test_buildkite_steps_depend_on_steps() -> None:
    steps = yaml.safe_load((DOCS / "pipeline/buildkite.yml").read_text(encoding="utf-8"))["steps"]
    keys = {step["key"] for step in steps if "key" in step}
    for step in steps:
        wanted = step.get("depends_on", [])
        assert set([wanted] if isinstance(wanted, str) else wanted) <= keys


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_variables_of_the_credentials_page_exist() -> None:
    text = (DOCS / "credentials.md").read_text(encoding="utf-8")
    known = {
        name for path in CHECKOUT.glob("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text()) or {}
    }
    named = set(re.findall(r"\b((?:fleet|builder|nix)_[a-z_]+)\b", text)) - {"builder_s"}
    assert named <= known


def play(tmp_path: Path, variables: dict[str, Any] | str, shown: str, *arguments: str, **environment: str) -> str:
    """What Ansible makes of a variable, in a file that it gets as an operator's group_vars."""
    (tmp_path / "group_vars").mkdir(exist_ok=True)
    text = variables if isinstance(variables, str) else yaml.safe_dump(variables)
    (tmp_path / "group_vars" / "all.yml").write_text(text, encoding="utf-8")
    (tmp_path / "hosts").write_text("localhost ansible_connection=local\n", encoding="utf-8")
    run = subprocess.run(
        [*ANSIBLE, "adhoc", "-i", str(tmp_path / "hosts"), "localhost", "-m", "ansible.builtin.debug", "-a", f"var={shown}", *arguments],
        capture_output=True, text=True, check=True, timeout=120, env=os.environ | environment,
    )  # fmt: skip
    return run.stdout


def test_ansible_vault_keeps_a_webhook(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("invented", encoding="utf-8")
    command = next(line for line in blocks("credentials.md", "sh")[1].splitlines() if "encrypt_string" in line)
    words = command.replace("~/.vault-password", str(password)).split()
    run = subprocess.run(
        [*ANSIBLE, "vault", *words[1:]],
        input="https://hook.example.org/secret",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hook.example.org" not in run.stdout
    page = blocks("credentials.md", "yaml")[0]
    shown = play(tmp_path, run.stdout + page, "fleet_notify_webhook_url", "--vault-password-file", str(password))
    assert "https://hook.example.org/secret" in shown


class Vault(http.server.BaseHTTPRequestHandler):
    """Answers as the key-value engine does, to the right token only."""

    def do_GET(self) -> None:
        good = self.headers.get("X-Vault-Token") == "s.invented" and self.path == "/v1/secret/data/nixmetal"
        secret = {"metal_auth_token": "t0ken", "webhook_url": "https://hook.example.org"}
        body = json.dumps({"data": {"data": secret, "metadata": {"version": 3}}}).encode()
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def test_hashicorp_vault_is_asked_by_ansible_alone(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vault) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            page = blocks("credentials.md", "yaml")[1]
            shown = play(tmp_path, page, "metal_auth_token", VAULT_ADDR=address, VAULT_TOKEN="s.invented")
        finally:
            server.shutdown()
            thread.join()
    assert re.search(r"metal_auth_token\W+t0ken\b", shown)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="there is no ssh-keygen")
def test_certificate_of_one_run(tmp_path: Path) -> None:
    commands = next(block for block in blocks("credentials.md", "sh") if "-s ca" in block)
    run = subprocess.run(["sh", "-euc", commands], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "run-cert.pub").exists()
    assert re.search(r"Principals:\s+root\s", run.stdout)
    assert 'Key ID: "rollout 4711"' in run.stdout
    assert "permit-port-forwarding" not in run.stdout
    assert re.search(r"Valid: from \S+ to \S+", run.stdout)
