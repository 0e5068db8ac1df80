# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine says of itself in its events: the SSH host keys (user.1001), and what it can build (user.1002).

Anyone who runs code on a machine can post events in its name, a build too. What is believed is what was said first since the
machine last asked for an address, which it does early in every boot: the oldest 1001 and the oldest 1002 that are newer than the
latest provisioning.104.01. Of events without sense, each is passed over alone.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.paging import Reader

BOOTED = "provisioning.104.01"
KEYS = "user.1001"
DESCRIPTION = "user.1002"
PER_PAGE = 50
# A build that posts events without an end hides its machine; it shall not keep the reader busy as well.
MOST_PAGES = 40

_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" +([A-Za-z0-9+/]{16,16384}={0,2})(?: .*)?"
)
_SYSTEM = re.compile(r"[a-z0-9_]+-[a-z0-9_]+")
# A lone hyphen means "none" in a machines file.
_FEATURE = re.compile(r"(?!-$)(?:(?![,;#@])[!-~])+")
_IMAGE = re.compile(r"[0-9a-z]{32}-[A-Za-z0-9+._?=-]+")
_BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

BARE_KEY_PORT = 22
LONGEST_BODY = 65536


@dataclasses.dataclass
class Evidence:
    """What is believed of a machine. `problems` tells what was passed over, and why nothing may be known."""

    endpoints: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    description: dict[str, Any] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    # True when nothing was published since the last request for an address, None when the events could not be read.
    booting: bool | None = None

    def host_key(self, port: int) -> str | None:
        for endpoint in self.endpoints:
            if endpoint["port"] == port and endpoint["host_keys"]:
                return str(endpoint["host_keys"][0])
        return None


def read_evidence(client: Client, device_id: str) -> Evidence:
    """Read a device's events as far back as its latest boot."""
    path = f"/devices/{device_id}/events"
    events: list[dict[str, Any]] = []
    for number, page in enumerate(Reader(client, per_page=PER_PAGE).walk(path, "events"), start=1):
        events += page.items
        if any(event.get("type") == BOOTED for event in page.items):
            break
        if number >= MOST_PAGES:
            # The machine's own doing, and so no reason to call the reading of the others incomplete.
            return Evidence(problems=[f"it has more than {len(events)} events since it last booted: none is believed"])
    return evidence_from(events)


def latest_event(client: Client, device_id: str, kind: str) -> dict[str, Any] | None:
    """The newest event of a kind; None when there is none among those that are looked at."""
    pages = Reader(client, per_page=PER_PAGE).walk(f"/devices/{device_id}/events", "events")
    for _number, page in zip(range(MOST_PAGES), pages):
        for event in _newest_first(page.items):
            if event.get("type") == kind:
                return event
    return None


def evidence_from(events: Iterable[dict[str, Any]]) -> Evidence:
    """What the events, newest first, let us believe."""
    evidence = Evidence(booting=False)
    since_boot = _since_boot(events)
    # Oldest first; the first that makes sense is the one that is believed.
    for event in reversed(since_boot):
        _believe(evidence, event)
    if not any(event.get("type") == KEYS for event in since_boot):
        evidence.booting = True
        evidence.problems.append("it has published no host key since it last asked for an address: it is booting")
    return evidence


def _believe(evidence: Evidence, event: dict[str, Any]) -> None:
    """Take what an event says, unless an older one has said it, or it makes no sense."""
    try:
        if event.get("type") == KEYS and not evidence.endpoints:
            evidence.endpoints = endpoints_from(event.get("body"))
        elif event.get("type") == DESCRIPTION and not evidence.description:
            evidence.description = description_from(event.get("body"), evidence.problems)
    except ValueError as error:
        evidence.problems.append(f"event {event.get('type')} of {event.get('created_at')} makes no sense: {error}")


def _since_boot(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    newer = []
    for event in _newest_first(list(events)):
        if event.get("type") == BOOTED:
            break
        newer.append(event)
    return newer


def _newest_first(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The API's order, which is newest first; where the times say otherwise, they are right."""
    times = [values.moment(event.get("created_at")) for event in events]
    if any(time is None for time in times):
        return events
    order = sorted(range(len(events)), key=lambda index: times[index], reverse=True)  # type: ignore[arg-type,return-value]
    return [events[index] for index in order]


def endpoints_from(body: Any) -> list[dict[str, Any]]:
    """The SSH ports and keys of a 1001: a JSON list of {system, port, key}, or the bare key of older machines."""
    word = (values.text(body) or "").strip()
    if not word:
        raise ValueError("it is empty")
    if _KEY.fullmatch(word):
        return [{"systems": [], "port": BARE_KEY_PORT, "host_keys": [clean_key(word)]}]
    entries = _parsed(word)
    if not isinstance(entries, list) or not entries:
        raise ValueError("it is not a list of keys")
    ports: dict[int, dict[str, Any]] = {}
    for entry in entries:
        _add_entry(ports, entry)
    return [ports[port] for port in sorted(ports)]


def _parsed(word: str) -> Any:
    if len(word) > LONGEST_BODY:
        raise ValueError(f"it is longer than {LONGEST_BODY} characters")
    try:
        return json.loads(word)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _add_entry(ports: dict[int, dict[str, Any]], entry: Any) -> None:
    if not isinstance(entry, dict):
        raise ValueError("one of its entries is not an object")
    port = values.integer(entry.get("port"))
    if port is None or not 0 < port < 65536:
        raise ValueError("one of its ports is not a port")
    endpoint = ports.setdefault(port, {"systems": [], "port": port, "host_keys": []})
    key = clean_key(entry.get("key"))
    if key not in endpoint["host_keys"]:
        endpoint["host_keys"].append(key)
    systems = [system.strip() for system in (values.text(entry.get("system")) or "").split(",") if system.strip()]
    if not all(_SYSTEM.fullmatch(system) for system in systems):
        raise ValueError("one of its systems is not a system")
    endpoint["systems"] = sorted({*endpoint["systems"], *systems})


def clean_key(value: Any) -> str:
    """A public key without its comment."""
    match = _KEY.fullmatch((values.text(value) or "").strip())
    if match is None:
        raise ValueError("one of its keys is not a public SSH key")
    return f"{match.group(1)} {match.group(2)}"


def description_from(body: Any, problems: list[str]) -> dict[str, Any]:
    """What a 1002 says. A field that makes no sense is left out, and told of in `problems`."""
    said = _parsed(values.text(body) or "")
    if not isinstance(said, dict):
        raise ValueError("it is not an object")
    known = {}
    for name, check in _FIELDS.items():
        if said.get(name) is not None:
            value = check(said[name])
            if value is None:
                problems.append(f"event {DESCRIPTION} has a {name} that makes no sense")
            else:
                known[name] = value
    # Whoever comes later is not to add what the first left out.
    return {"said": True, **known}


def _words(pattern: re.Pattern[str], value: Any) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(word, str) and pattern.fullmatch(word) for word in value):
        return None
    return sorted(set(value))


def _systems(value: Any) -> list[str] | None:
    return _words(_SYSTEM, value)


def _features(value: Any) -> list[str] | None:
    return _words(_FEATURE, value)


def _jobs(value: Any) -> int | None:
    jobs = values.integer(value)
    return jobs if jobs is not None and 0 < jobs <= 100000 else None


def _speed(value: Any) -> float | None:
    speed = values.number(value)
    return speed if speed is not None and 0 < speed <= 100000 else None


def _image(value: Any) -> str | None:
    return values.matching(_IMAGE, value)


def _boot(value: Any) -> str | None:
    return values.matching(_BOOT, value)


_FIELDS = {
    "system_types": _systems,
    "features": _features,
    "mandatory_features": _features,
    "max_jobs": _jobs,
    "speed_factor": _speed,
    "image_id": _image,
    "boot_id": _boot,
}
