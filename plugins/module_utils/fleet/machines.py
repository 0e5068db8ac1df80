# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From builder facts to the machines file and known_hosts of a coordinator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.known_hosts import known_hosts_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_file import (
    MachineRow,
    check_ssh_key,
    encoded_key,
    render_file,
    render_row,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_hydra import parse_hydra_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_nix import parse_nix_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.selection import Excluded, select
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.ssh_config import keepalive_config

SCHEMES = ("", "ssh", "ssh-ng")
DEFAULT_PORT = 22


def machines_plan(
    builders: Sequence[Mapping[str, Any]],
    ssh_key: str,
    scheme: str = "",
    fractional_speed: bool = False,
    leaving: Mapping[str, str] | None = None,
    until: float | None = None,
) -> dict[str, Any]:
    """Rows, the files, who is left out and why, and whether an empty file would be known to be right.

    For `leaving` and `until` see `select`.
    """
    if scheme not in SCHEMES:
        raise FleetError(f"scheme {scheme!r} is not one of {', '.join(map(repr, SCHEMES))}")
    check_ssh_key(ssh_key)
    chosen = select(builders, leaving, until)
    by_port = [facts for facts in chosen.included if facts["builder_port"] == DEFAULT_PORT]
    rows, unfit = _rows([machine_row(facts, ssh_key, scheme, fractional_speed) for facts in by_port], by_port)
    excluded = chosen.excluded + unfit + _other_ports(chosen.included)
    text = render_file(list(rows.values()))
    check_machines_file(text, list(rows.values()))
    return {
        "file": text,
        "known_hosts": "".join(
            f"{line}\n" for line in known_hosts_lines(facts for facts in by_port if facts["builder_id"] in rows)
        ),
        "ssh_config": keepalive_config(row.address for row in rows.values()),
        "rows": {name: render_row(row) for name, row in sorted(rows.items())},
        "names": {name: row.name for name, row in sorted(rows.items())},
        "included": sorted(rows),
        "excluded": [item._asdict() for item in sorted(excluded)],
        "empty_is_known": bool(builders) and not rows and all(item.known for item in excluded),
    }


def machine_row(facts: Mapping[str, Any], ssh_key: str, scheme: str = "", fractional_speed: bool = False) -> MachineRow:
    """The row of a builder that was selected. Nix 2.8 refuses a whole file for one speed factor that is not a whole number."""
    speed = facts["builder_speed_factor"]
    return MachineRow(
        user=facts["builder_user"],
        address=facts["builder_address"],
        systems=tuple(facts["builder_systems"]),
        ssh_key=ssh_key,
        max_jobs=facts["builder_max_jobs"],
        speed_factor=speed if fractional_speed else max(1, int(speed + 0.5)),
        features=tuple(facts["builder_features"]),
        mandatory_features=tuple(facts["builder_mandatory_features"]),
        host_key=facts["builder_host_key"],
        scheme=scheme,
    )


def _rows(
    wanted: Sequence[MachineRow], builders: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, MachineRow], list[Excluded]]:
    """The rows that can be written; a machine with an odd value is left out, not in the way of all others."""
    rows = {facts["builder_id"]: row for facts, row in zip(builders, wanted)}
    reasons = {name: _why_unfit(row) for name, row in rows.items()}
    fit = {name: row for name, row in rows.items() if reasons[name] is None}
    return fit, [Excluded(name, reason, False) for name, reason in reasons.items() if reason is not None]


def _why_unfit(row: MachineRow) -> str | None:
    try:
        render_row(row)
    except FleetError as error:
        return str(error)
    return None


def check_machines_file(text: str, rows: Sequence[MachineRow]) -> None:
    """Reads the text back by Nix's and by the legacy Hydra's rules and compares it with what was meant."""
    wanted = {row.name: row for row in rows}
    for_nix, for_hydra = parse_nix_machines(text), parse_hydra_machines(text)
    if len(for_nix) != len(for_hydra):
        raise FleetError(f"Nix would read {len(for_nix)} machines and the legacy Hydra {len(for_hydra)}")
    for nix, hydra in zip(for_nix, for_hydra):
        row = wanted.pop(hydra.ssh_name, None)
        if row is None:
            raise FleetError(
                f"the machines file names {hydra.ssh_name}, which nobody asked for or which stands there twice"
            )
        _compare(row, nix, hydra)
    if wanted:
        raise FleetError(f"the machines file lacks {', '.join(sorted(wanted))}")


def _compare(row: MachineRow, nix: Any, hydra: Any) -> None:
    features, mandatory = frozenset(row.features), frozenset(row.mandatory_features)
    # Column 1 and the features are what the two read differently; Nix's view of the address has a scheme.
    if nix.store_uri != (row.name if row.scheme else f"ssh://{row.name}") or nix.features != features:
        raise FleetError(f"the row of {row.name} would be read as {nix}")
    if hydra.supported_features != features | mandatory:
        raise FleetError(f"the row of {row.name} would be read as {hydra}")
    for machine in (nix, hydra):
        same = (
            machine.systems == frozenset(row.systems)
            and machine.ssh_key == row.ssh_key
            and machine.max_jobs == row.max_jobs
            and abs(machine.speed_factor - row.speed_factor) < 1e-6
            and machine.mandatory_features == mandatory
            and encoded_key(machine.host_key) == encoded_key(row.host_key)
        )
        if not same:
            raise FleetError(f"the row of {row.name} would be read as {machine}")


def _other_ports(included: Sequence[Mapping[str, Any]]) -> list[Excluded]:
    """Ports other than 22 need an ssh_config alias (Nix takes no ssh://host:port); they are left out and said."""
    ports = [
        (facts["builder_id"], port)
        for facts in included
        for port in sorted({facts["builder_port"]} | {endpoint["port"] for endpoint in facts["builder_endpoints"]})
        if port != DEFAULT_PORT
    ]
    return [
        Excluded(name, f"endpoint on port {port} is left out: only port 22 is written", False) for name, port in ports
    ]
