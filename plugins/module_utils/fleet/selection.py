# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which builders take part in a machines file, and why each of the others does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_problems, repeated
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import near_end

Facts = Mapping[str, Any]


class Excluded(NamedTuple):
    """A machine left out. `known` tells a machine known to be out of service from one of which too little is known."""

    id: str
    reason: str
    known: bool


class Selection(NamedTuple):
    """The machines of a reading, each in one of two lists."""

    included: list[Facts]
    excluded: list[Excluded]


def _boots(facts: Facts) -> bool:
    """One whose key the operator declares may publish none, and is believed to be up."""
    return bool(facts.get("builder_booting")) and not facts["builder_host_key"]


# States in which a machine certainly builds nothing. Any other word may be one for a machine that does.
IDLE_STATES = frozenset(
    (
        "deleted",
        "deprovisioning",
        "failed",
        "inactive",
        "post_provisioning",
        "powering_off",
        "powering_on",
        "provisioning",
        "queued",
        "reinstalling",
    )
)


def _state(facts: Facts) -> str | None:
    return None if facts["builder_state"] == "active" else f"state is {facts['builder_state']}"


# Asked in this order; the first that answers gives the reason.
OUT_OF_SERVICE: tuple[Callable[[Facts], str | None], ...] = (
    lambda facts: _state(facts) if facts["builder_state"] in IDLE_STATES else None,
    lambda facts: "draining" if facts["builder_draining"] else None,
    lambda facts: "it boots: it asked for an address and has published no host key since" if _boots(facts) else None,
)
NOT_KNOWN: tuple[Callable[[Facts], str | None], ...] = (
    _state,
    lambda facts: None if facts["builder_address"] else "no address",
    lambda facts: None if facts["builder_host_key"] else "published no SSH host key since its last boot",
    lambda facts: None if facts["builder_systems"] else "no system known: neither published nor in the plan table",
    lambda facts: (
        None if facts["builder_max_jobs"] else "number of jobs unknown: neither published nor in the plan table"
    ),
)


def select(
    builders: Sequence[Facts], leaving: Mapping[str, str] | None = None, until: float | None = None
) -> Selection:
    """Sorts out what must not be in a machines file; never raises for one machine's sake.

    `leaving` says of machines why they are known to go, by whoever learned it before the reading did. A machine that will be
    taken back is left out if that is before `until`, in seconds since the epoch; without it, whenever that is.
    """
    included: list[Facts] = []
    excluded: list[Excluded] = []
    for facts in builders:
        out = _why_not(facts, leaving or {}, until)
        if out:
            excluded.append(out)
        else:
            included.append(facts)
    shared = repeated(facts["builder_address"] for facts in included)
    clash = [facts for facts in included if facts["builder_address"] in shared]
    excluded += [
        Excluded(facts["builder_id"], f"shares the address {facts['builder_address']}", False) for facts in clash
    ]
    return Selection([facts for facts in included if facts not in clash], sorted(excluded))


def _why_not(facts: Facts, leaving: Mapping[str, str], until: float | None) -> Excluded | None:
    broken = facts_problems(facts)
    name = str(facts.get("builder_id") or "(no builder_id)")
    if name in leaving:
        return Excluded(name, leaving[name], True)
    if broken:
        return Excluded(name, f"bad facts: {'; '.join(broken[:3])}", False)
    out = _first(OUT_OF_SERVICE, facts) or _notice(facts, until)
    reason = out or _first(NOT_KNOWN, facts)
    return Excluded(name, reason, out is not None) if reason else None


def _first(questions: Iterable[Callable[[Facts], str | None]], facts: Facts) -> str | None:
    return next((reason for reason in (question(facts) for question in questions) if reason), None)


def _notice(facts: Facts, until: float | None) -> str | None:
    end = near_end(facts, until)
    return f"will be reclaimed at {end}" if end else None
