# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking builders over SSH, by a stand-in for the SSH client that shows what it was given."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsTarget
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.ssh_facts import (
    SshSettings,
    ask,
    command,
    read_facts,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKKmYZfVJnNzYy1pQqZCFCY4D5Q7ZBxqJm8tDFGvwSkM"
READY = JobsTarget("a", None, "192.0.2.10", 22, "build", KEY)
FAKE = f"""#!{sys.executable}
import json, sys, time, pathlib
words = sys.argv[1:]
file = next(word for word in words if word.startswith("UserKnownHostsFile=")).partition("=")[2]
seen = {{"words": words, "known_hosts": pathlib.Path(file).read_text(), "script": sys.stdin.read()}}
place = pathlib.Path(sys.argv[0]).parent
(place / "seen.json").write_text(json.dumps(seen))
if (place / "sleep").exists():
    time.sleep(30)
if (place / "refuse").exists():
    print("Warning: x", "Host key verification failed.", sep="\\n", file=sys.stderr)
    sys.exit(255)
print('{{"boot_id": "b", "image_id": "i", "jobs": 1}}')
"""


@pytest.fixture
def client(tmp_path: Path) -> Path:
    program = tmp_path / "ssh"
    program.write_text(FAKE)
    program.chmod(0o755)
    return program


def test_only_the_published_key_is_believed_and_the_script_comes_by_standard_input(client: Path) -> None:
    settings = SshSettings(key="/k", script="echo hello", options=("ProxyJump=j",), executable=str(client))
    said = ask(settings, READY._replace(port=2222))
    assert (said.boot_id, said.image_id, said.jobs, said.problem) == ("b", "i", 1, None)
    seen = json.loads((client.parent / "seen.json").read_text())
    assert seen["known_hosts"] == f"[192.0.2.10]:2222 {KEY}\n"
    assert seen["script"] == "echo hello"
    assert {"StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "BatchMode=yes", "ProxyJump=j"} <= set(
        seen["words"]
    )
    assert seen["words"][-3:] == ["--", "192.0.2.10", "sh -s"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here to ask")
def test_no_option_of_the_operator_makes_another_key_believed() -> None:
    """OpenSSH itself says what it would do: of several values it takes the first."""
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/etc/ssh/any",
        "KnownHostsCommand=/bin/any",
        "VerifyHostKeyDNS=yes",
        "NoHostAuthenticationForLocalhost=yes",
        "ConnectTimeout=3",
    )
    words = command(SshSettings(options=options), READY, "/known")
    said = subprocess.run([words[0], "-G", *words[1:-1]], capture_output=True, text=True, check=True).stdout
    told = dict(line.split(" ", 1) for line in said.lower().splitlines() if " " in line)
    assert told["stricthostkeychecking"] in ("true", "yes")
    assert (told["userknownhostsfile"], told["globalknownhostsfile"]) == ("/known", "/dev/null")
    assert told.get("knownhostscommand", "none") == "none"
    assert told["verifyhostkeydns"] in ("false", "no")
    assert told["nohostauthenticationforlocalhost"] in ("false", "no")
    assert told["connecttimeout"] == "3"


def test_a_refused_key_and_silence_are_problems(client: Path) -> None:
    (client.parent / "refuse").touch()
    assert "Host key verification failed" in (ask(SshSettings(executable=str(client)), READY).problem or "")
    (client.parent / "sleep").touch()
    assert "within 0.5 seconds" in (ask(SshSettings(executable=str(client), timeout=0.5), READY).problem or "")
    assert "cannot be run" in (ask(SshSettings(executable="/nowhere/ssh"), READY).problem or "")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (READY._replace(address=None), "no address"),
        (READY._replace(address="-oProxyCommand=x"), "is no address"),
        (READY._replace(host_key=None), "no SSH host key"),
        (READY._replace(user=None), "no login"),
        (READY._replace(user="-l"), "is no login"),
    ],
)
def test_whom_nobody_can_ask_is_not_asked(target: JobsTarget, words: str) -> None:
    assert words in (ask(SshSettings(executable="/nowhere/ssh"), target).problem or "")


def test_many_are_asked_at_once(client: Path) -> None:
    targets = [READY._replace(id=str(number)) for number in range(8)]
    assert set(read_facts(SshSettings(executable=str(client)), targets)) == {str(number) for number in range(8)}
