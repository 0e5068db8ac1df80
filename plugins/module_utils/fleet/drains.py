# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who drains which machine, by the machines' tags: what a drain puts there, and what a restore may take away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_file import MachineRow

OWNER_PREFIX = "drained-by="
# A rollout's note on the machine: it was proved idle, and is to leave this boot.
REBOOT_PREFIX = "rebooting-from="
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._:/-]*")
Facts = Mapping[str, Any]


def check_owner(owner: str) -> str:
    """The owner, unless it cannot stand in a tag."""
    if not _WORD.fullmatch(owner):
        raise FleetError(f"builder_drain_owner: {owner!r} must be one word of letters, digits and @ . _ : / -")
    return owner


def owners(facts: Facts, tag: str) -> list[str]:
    """Who drains the machine; `(unknown)` for a drain tag without a name beside it."""
    tags = list(facts.get("builder_tags") or [])
    named = [word[len(OWNER_PREFIX) :] for word in tags if word.startswith(OWNER_PREFIX)]
    named += [word[len(tag) + 1 :] for word in tags if word.startswith(f"{tag}=")]
    return named or (["(unknown)"] if tag in tags else [])


def drain_problems(
    builders: Iterable[Facts], ids: Sequence[str], tag: str, owner: str, force: bool = False
) -> list[str]:
    """Why these machines may not be drained, as sentences."""
    known = {facts["builder_id"]: facts for facts in builders}
    check_owner(owner)
    return [problem for name in ids for problem in _problems(name, known.get(name), tag, owner, force)]


def _problems(name: str, facts: Facts | None, tag: str, owner: str, force: bool) -> list[str]:
    if facts is None:
        return [f"{name} is no machine of this reading"]
    if not facts.get("builder_fleet"):
        return [f"{name} carries no fleet's tag, so it is not ours"]
    others = [other for other in owners(facts, tag) if other != owner]
    if others and not force:
        return [f"{name} is drained by {', '.join(others)}, not by {owner} (builder_drain_force overrides that)"]
    return []


def tags_to_lift(facts: Facts, tag: str) -> list[str]:
    """All tags that keep builds away from a machine, or say who does."""
    return [
        word
        for word in facts.get("builder_tags") or []
        if word == tag or word.startswith((OWNER_PREFIX, f"{tag}=", REBOOT_PREFIX))
    ]


def tag_requests(builders: Iterable[Facts], tags: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[str]]]:
    """The `machines` of the verbs tag and untag, by provider: one request for all machines of a provider. No tags, no request."""
    requests: dict[str, dict[str, list[str]]] = {}
    for facts in builders:
        wanted = tags.get(facts["builder_id"])
        if wanted:
            requests.setdefault(facts["builder_provider"], {})[facts["builder_id"]] = list(wanted)
    return requests


def rebooting_from(facts: Facts) -> str | None:
    """The boot id that a rollout has noted before it asked for a reboot."""
    noted = [word[len(REBOOT_PREFIX) :] for word in facts.get("builder_tags") or [] if word.startswith(REBOOT_PREFIX)]
    return noted[-1] if noted else None


def jobs_targets(
    builders: Iterable[Facts],
    ids: Sequence[str],
    source: str = "ssh",
    hydra: str = "legacy",
    scheme: str = "",
    user: str = "",
) -> list[dict[str, Any]]:
    """The option `builders` of the modules that ask for jobs.

    The label is column 1 of the machines file as it is written, or the hostname where the new queue runner is asked, unless the variable
    builder_jobs_label of the machine says otherwise. Two machines of one label cannot be told apart.
    """
    entries = [_target(facts, source, hydra, scheme, user) for facts in builders]
    labels = [entry["label"] for entry in entries]
    shared = {label for label in labels if label is not None and labels.count(label) > 1}
    for entry in entries:
        if source != "ssh" and entry["label"] in shared:
            entry["problem"] = f"it shares the label {entry['label']} with another machine"
    found = {entry["id"]: entry for entry in entries}
    return [found.get(name) or {"id": name, "problem": "it is no machine of this reading"} for name in ids]


def _target(facts: Facts, source: str, hydra: str, scheme: str, user: str) -> dict[str, Any]:
    return {
        "id": facts["builder_id"],
        "label": facts.get("builder_jobs_label") or _label(facts, source, hydra, scheme, user),
        "address": facts.get("builder_address"),
        "port": facts.get("builder_port") or 22,
        "user": facts.get("builder_user"),
        "host_key": facts.get("builder_host_key"),
    }


def _label(facts: Facts, source: str, hydra: str, scheme: str, user: str) -> str | None:
    if source != "ssh" and hydra == "new":
        return facts.get("builder_hostname")
    address, login = facts.get("builder_address"), user or facts.get("builder_user")
    return column_one(login, address, scheme) if address and login else None


def column_one(user: str, address: str, scheme: str = "") -> str:
    """What the machines file calls a machine: the same property that writes it."""
    return MachineRow(user, address, (), "", 1, 1.0, (), (), "", scheme).name


def hosts_to_verify(builders: Iterable[Facts], ids: Sequence[str]) -> list[Facts]:
    """The machines of a test build: the named ones, also where they are drained, or else all."""
    if not ids:
        return list(builders)
    return [{**facts, "builder_draining": False} for facts in builders if facts["builder_id"] in ids]


def verify_expected(builder: Facts, boots: Mapping[str, Facts]) -> dict[str, str]:
    """The boot and the image that a test build must name: as the machine published them, or told over SSH where it publishes nothing."""
    if builder.get("builder_boot_id"):
        return {
            "boot_id": builder["builder_boot_id"],
            "image_id": builder.get("builder_image_id") or "",
            "problem": "",
        }
    told = boots.get(builder["builder_id"]) or {}
    why = "" if told.get("boot_id") else f"its boot is not known: {told.get('problem') or 'it was not asked over SSH'}"
    return {"boot_id": told.get("boot_id") or "", "image_id": told.get("image_id") or "", "problem": why}


def verify_take_out(results: Sequence[Facts], builders: Iterable[Facts], tag: str) -> list[str]:
    """The machines to take out of service after test builds, by a reading that is newer than the builds.

    A machine was at fault only when it was asked itself, and another of its system passed in the same run: where none passes, the fault may
    be the coordinator's. Machines that are gone, not in service, or have rebooted into what they answered are nobody's to take out.
    """
    facts = {entry["builder_id"]: entry for entry in builders}
    passed = {(entry["system"], entry["builder"]) for entry in results if entry["asked"] and not entry["problem"]}
    bad = [
        entry["builder"]
        for entry in results
        if entry["asked"]
        and entry["problem"]
        and any(system == entry["system"] and name != entry["builder"] for system, name in passed)
        and _may_be_taken_out(facts.get(entry["builder"]), entry, tag)
    ]
    return list(dict.fromkeys(bad))


def _may_be_taken_out(facts: Facts | None, result: Facts, tag: str) -> bool:
    if facts is None or facts.get("builder_state") != "active" or not facts.get("builder_fleet"):
        return False
    if facts.get("builder_draining") or owners(facts, tag):
        return False
    said = (result["boot_id"], result["image_id"])
    return not all(said) or said != (facts.get("builder_boot_id"), facts.get("builder_image_id"))


def verify_problems(results: Iterable[Facts], ids: Sequence[str], excluded: Iterable[Facts]) -> dict[str, str]:
    """The problem of each machine, an empty text for none. One of several systems is enough; a machine that was not asked has one."""
    found = dict.fromkeys(ids, "it is no machine of this reading")
    found.update((out["id"], f"it was not asked: {out['reason']}") for out in excluded if out["id"] in ids)
    told: dict[str, str] = {}
    for entry in results:
        told[entry["builder"]] = told.get(entry["builder"]) or entry["problem"]
    return {**found, **told}
