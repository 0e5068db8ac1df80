# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What builders say of themselves over SSH: boot id, image id, running builds, and open connections of Nix.

The key of nixmetal.factsKeys may run nix/lib/facts.sh and nothing else. An administrator's key may run anything: it is handed the same
script on standard input. Only the host key that the machine published is believed.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsTarget, count_from
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.known_hosts import known_hosts_name

LARGEST_ANSWER = 65536
_NAME = re.compile(r"[A-Za-z0-9+._?=-]+")
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]*")
_ADDRESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:_-]*")
# Nobody is there to answer a question, and a machine that is gone is not waited for. No key is believed but the published one.
ALWAYS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "IgnoreUnknown=KnownHostsCommand",  # of OpenSSH 8.5 and later
    "KnownHostsCommand=none",
    "VerifyHostKeyDNS=no",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    "ControlPath=none",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)


@dataclasses.dataclass(frozen=True)
class SshSettings:
    """How the builders are reached. Times are seconds."""

    key: str | None = None
    user: str | None = None
    script: str = ""
    config: str = "none"
    options: tuple[str, ...] = ()
    timeout: float = 20.0
    parallel: int = 16
    executable: str = "ssh"


@dataclasses.dataclass(frozen=True)
class SshFacts:
    """An answer, or the problem that there was instead of one."""

    boot_id: str | None = None
    image_id: str | None = None
    jobs: int | None = None
    problem: str | None = None


def read_facts(settings: SshSettings, targets: Iterable[JobsTarget]) -> dict[str, SshFacts]:
    """Ask many builders at once."""
    wanted = list(targets)
    with ThreadPoolExecutor(max_workers=max(1, settings.parallel)) as pool:
        answers = pool.map(lambda target: ask(settings, target), wanted)
        return {target.id: answer for target, answer in zip(wanted, answers)}


def ask(settings: SshSettings, target: JobsTarget) -> SshFacts:
    """Ask one builder."""
    problem = _cannot_ask(settings, target)
    if problem:
        return SshFacts(problem=problem)
    with tempfile.TemporaryDirectory(prefix="nixmetal-ssh-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(f"{known_hosts_name(target.address or '', target.port)} {target.host_key}\n")
        return _run(settings, command(settings, target, str(known_hosts)))


def _cannot_ask(settings: SshSettings, target: JobsTarget) -> str | None:
    user = settings.user or target.user
    if not target.address or not _ADDRESS.fullmatch(target.address):
        return "it has no address" if not target.address else f"{target.address!r} is no address"
    if not target.host_key:
        return "it has published no SSH host key since its last boot"
    if not user or not _LOGIN.fullmatch(user):
        return "no login is named to ask it with" if not user else f"{user!r} is no login"
    return None


def command(settings: SshSettings, target: JobsTarget, known_hosts: str) -> list[str]:
    """ssh and its options. A forced command takes the place of the last word."""
    words = [
        settings.executable,
        "-F",
        settings.config,
        "-T",
        "-p",
        str(target.port),
        "-l",
        settings.user or target.user or "",
    ]
    if settings.key:
        words += ["-i", settings.key, "-o", "IdentitiesOnly=yes"]
    limit = f"ConnectTimeout={max(1, int(settings.timeout / 2))}"
    # OpenSSH takes the first value of each option, so the operator's come after those that make the answer a proof.
    for option in (f"UserKnownHostsFile={known_hosts}", *ALWAYS, *settings.options, limit):
        words += ["-o", option]
    return [*words, "--", target.address or "", "sh -s"]


def _run(settings: SshSettings, words: list[str]) -> SshFacts:
    try:
        # Plain Python: it knows no module whose run_command it could call.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            words, input=settings.script.encode(), capture_output=True, check=False, timeout=settings.timeout
        )
    except subprocess.TimeoutExpired:
        return SshFacts(problem=f"no answer over SSH within {settings.timeout:g} seconds")
    except OSError as error:
        return SshFacts(problem=f"{words[0]} cannot be run: {error.strerror}")
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return SshFacts(problem=f"ssh ended with {done.returncode}: {told[-1][:200] if told else 'without a word'}")
    return parsed(done.stdout)


def parsed(output: bytes) -> SshFacts:
    """The answer of facts.sh: one JSON object. What it does not know stays unknown."""
    try:
        said = json.loads(output[:LARGEST_ANSWER].decode("utf-8"))
    except (ValueError, RecursionError):
        return SshFacts(problem=f"it answered what is not JSON: {output[:100]!r}")
    if not isinstance(said, Mapping):
        return SshFacts(problem=f"it answered what is not an object: {output[:100]!r}")
    return SshFacts(_name(said.get("boot_id")), _name(said.get("image_id")), _jobs(said))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _jobs(said: Mapping[str, Any]) -> int | None:
    """Running builds, or open connections of Nix where they are more: one may be copying what a build needs or has made."""
    jobs = count_from(said.get("jobs"))
    if "sessions" not in said:
        return jobs
    sessions = count_from(said["sessions"])
    return None if jobs is None or sessions is None else max(jobs, sessions)
