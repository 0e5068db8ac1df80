# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin as a playbook runs it: two hosts with interpreters of their own, on one machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]
TASK = {
    "name": "Stream",
    "nixmetal.builders.artifact_stream": {"source": "build", "src": "{{ image }}", "dest": "{{ web_root }}"},
    "register": "streamed",
}
KEEP = {
    "name": "Keep the result",
    "ansible.builtin.copy": {"content": "{{ streamed | to_json }}", "dest": "{{ result }}", "mode": "0600"},
    "delegate_to": "localhost",
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    content = os.urandom(3_000_000)
    (folder / "kernel").write_bytes(content)
    file = {"name": "kernel", "role": "kernel", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(
        json.dumps({"schema": 1, "image_id": "0-image", "system": "x86_64-linux", "kernel_params": [], "files": [file]})
    )
    return folder


def interpreter(folder: Path, name: str) -> Path:
    """A Python that notes under whose name it ran."""
    path = folder / f"python-of-{name}"
    path.write_text(f'#!/bin/sh\necho {name} >> "{folder}/ran"\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def play(tmp_path: Path, image: Path, *options: str, **task: object) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One play on web, with what both hosts say of themselves in variables of their own."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ own_python }}"}
    hosts = {
        name: {**local, "own_python": str(interpreter(tmp_path, name)), "image": str(image)}
        for name in ("build", "web")
    }
    everybody = {"web_root": str(tmp_path / "srv"), "result": str(tmp_path / "result.json")}
    inventory, book = tmp_path / "hosts.json", tmp_path / "play.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": everybody}}))
    book.write_text(json.dumps([{"hosts": "web", "gather_facts": False, "tasks": [{**TASK, **task}, KEEP]}]))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(book), *options]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
    }
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done, tmp_path / "result.json"


def test_each_host_is_reached_with_its_own_variables(tmp_path, image):
    done, result = play(tmp_path, image)
    assert done.returncode == 0, done.stdout + done.stderr
    streamed = json.loads(result.read_text())
    assert streamed["changed"] is True
    assert streamed["bytes_sent"] == 3_000_000
    assert streamed["image_id"] == "0-image"
    assert streamed["tls"]["version"] == "TLSv1.3"
    ran = (tmp_path / "ran").read_text().split()
    assert ran.count("build") == 2  # prepare, connect
    assert ran.count("web") == 2  # listen, wait
    again, result = play(tmp_path, image)
    assert again.returncode == 0
    streamed = json.loads(result.read_text())
    assert streamed["changed"] is False
    assert (streamed["bytes_sent"], streamed["bytes_skipped"]) == (0, 3_000_000)


def test_keys_and_the_payload_do_not_show(tmp_path, image):
    done, _result = play(tmp_path, image, "-vvvvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert not list((tmp_path / "tmp").rglob("*image*"))


def test_the_task_can_be_delegated(tmp_path, image):
    done, result = play(tmp_path, image, delegate_to="build", vars={"web_root": "/proc/not-here"})
    assert "build: [Errno" in done.stdout
    done, result = play(tmp_path, image, delegate_to="build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(result.read_text())["bytes_sent"] == 3_000_000


def test_check_mode_writes_nothing(tmp_path, image):
    done, _result = play(tmp_path, image, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=1" in done.stdout or "changed=2" in done.stdout
    assert not (tmp_path / "srv").exists()
