# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written into a machines file, and that Nix and the legacy Hydra read it as it was meant."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import check_machines_file, machines_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_file import (
    MachineRow,
    render_file,
    render_row,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_hydra import parse_hydra_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_nix import parse_nix_machines

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqT"
ROW = MachineRow("build", "192.0.2.7", ("x86_64-linux",), "/etc/nix/key", 24, 1, ("nixos-test", "kvm"), (), KEY)


def test_row_has_eight_columns_with_the_first_five_explicit() -> None:
    columns = render_row(ROW).split(" ")
    assert columns[:7] == ["build@192.0.2.7", "x86_64-linux", "/etc/nix/key", "24", "1", "kvm,nixos-test", "-"]
    assert base64.b64decode(columns[7]).decode() == KEY


def test_comment_of_the_host_key_is_left_out() -> None:
    assert render_row(ROW._replace(host_key=f"{KEY} root@builder\n")) == render_row(ROW)


def test_rows_are_sorted_so_that_the_same_machines_make_the_same_file() -> None:
    other = ROW._replace(address="192.0.2.10")
    assert render_file([ROW, other]) == render_file([other, ROW])
    assert render_file([]) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"address": "192.0.2.7;x"},
        {"address": ""},
        {"user": "a b"},
        {"systems": ()},
        {"systems": ("-",)},
        {"features": ("a,b",)},
        {"mandatory_features": ("#",)},
        {"features": ("-",)},
        {"features": ("kvm\u200b",)},
        {"ssh_key": "key"},
        {"ssh_key": "/etc/nix/my key"},
        {"max_jobs": 0},
        {"speed_factor": 0},
        {"speed_factor": 1e-9},
        {"host_key": "ssh-ed25519"},
    ],
)
def test_what_would_break_the_file_for_all_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FleetError):
        render_row(ROW._replace(**change))


WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=2, max_size=12)
ROWS = st.builds(
    MachineRow,
    user=st.sampled_from(["build", "root"]),
    address=st.ip_addresses().map(str),
    systems=st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple),
    ssh_key=WORDS.map(lambda word: f"/{word}"),
    max_jobs=st.integers(1, 512),
    speed_factor=st.integers(1, 64) | st.floats(0.001, 64).map(lambda value: round(value, 3)),
    features=st.lists(WORDS, max_size=3, unique=True).map(tuple),
    mandatory_features=st.lists(WORDS, max_size=2, unique=True).map(tuple),
    host_key=st.binary(min_size=6, max_size=40).map(lambda data: f"ssh-ed25519 {base64.b64encode(data).decode()}"),
    scheme=st.sampled_from(["", "ssh", "ssh-ng"]),
)


@given(st.lists(ROWS, max_size=5, unique_by=lambda row: row.name))
def test_both_parsers_read_what_was_meant(rows: list[MachineRow]) -> None:
    text = render_file(rows)
    check_machines_file(text, rows)
    assert len(parse_nix_machines(text)) == len(parse_hydra_machines(text)) == len(rows)
    assert all(len(line.split(" ")) == 8 for line in text.splitlines())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 24 ", " 25 "),
        ("x86_64-linux", "i686-linux"),
        ("192.0.2.7", "192.0.2.8"),
        ("/etc/nix/key", "-"),
        ("kvm,", ""),
        ("build@", "ssh-ng://build@"),
    ],
)
def test_file_that_says_something_else_is_caught(old: str, new: str) -> None:
    with pytest.raises(FleetError):
        check_machines_file(render_file([ROW]).replace(old, new), [ROW])


def test_missing_and_second_row_are_caught() -> None:
    with pytest.raises(FleetError, match="lacks"):
        check_machines_file("", [ROW])
    with pytest.raises(FleetError, match="twice"):
        check_machines_file(render_file([ROW, ROW]), [ROW])


def test_row_that_one_of_the_two_passes_over_is_caught() -> None:
    with pytest.raises(FleetError, match="Nix would read 2 machines and the legacy Hydra 1"):
        check_machines_file(render_file([ROW]) + "build@192.0.2.99 x86_64-linux\n", [ROW])


class TestNix:
    """Rules of src/libstore/machines.cc."""

    def test_defaults(self) -> None:
        (machine,) = parse_nix_machines("host", local_system="x86_64-linux")
        assert machine.store_uri == "ssh://host"
        assert machine.systems == {"x86_64-linux"}
        assert (machine.max_jobs, machine.speed_factor, machine.ssh_key, machine.host_key) == (1, 1.0, "", "")

    def test_separators_comments_and_dashes(self) -> None:
        machines = parse_nix_machines("# all\na x86_64-linux - 2 0 - - -; ssh-ng://b\ti686-linux # two\n\n")
        assert [machine.store_uri for machine in machines] == ["ssh://a", "ssh-ng://b"]
        assert machines[0].speed_factor == 1.0

    def test_included_file_is_read_and_a_missing_one_passed_over(self) -> None:
        files = {"/etc/more": "b"}
        machines = parse_nix_machines("a\n@/etc/more\n@/etc/missing", include=files.get)
        assert [machine.store_uri for machine in machines] == ["ssh://a", "ssh://b"]

    def test_file_that_includes_itself_ends(self) -> None:
        with pytest.raises(FleetError, match="includes itself"):
            parse_nix_machines("@/a", include=lambda path: f"@{path}")

    @pytest.mark.parametrize(
        "row", ["a - - two", "a - - -1", "a - - 1.5", "a - - 1 x", "a - - 1 -1", "a - - 1 nan", "a - - 1 1 - - %%", "-"]
    )
    def test_one_bad_row_fails_the_whole_file(self, row: str) -> None:
        with pytest.raises(FleetError):
            parse_nix_machines(f"good\n{row}\n")


class TestLegacyHydra:
    """Rules of the C++ queue runner, field by field."""

    def test_short_rows_are_passed_over(self) -> None:
        assert parse_hydra_machines("host x86_64-linux\n# comment of some words\n") == []

    def test_name_is_taken_as_it_is(self) -> None:
        assert parse_hydra_machines("build@host s /k 1 1 - - -")[0].ssh_name == "build@host"

    def test_dash_is_no_system_but_a_word(self) -> None:
        assert parse_hydra_machines("h - - 1 1 - - -")[0].systems == {"-"}

    @pytest.mark.parametrize("row", ["h s k - 1", "h s k 1 -", "h s k x 1", "h s k 1 x", "h s k 1 1 - - %%"])
    def test_dash_or_word_for_a_number_throws(self, row: str) -> None:
        with pytest.raises(FleetError, match="column"):
            parse_hydra_machines(row)

    def test_missing_numbers_are_one(self) -> None:
        (machine,) = parse_hydra_machines("h s -")
        assert (machine.max_jobs, machine.speed_factor, machine.ssh_key) == (1, 1.0, "")

    def test_mandatory_features_count_as_supported(self) -> None:
        (machine,) = parse_hydra_machines("h s k 1 1 kvm big-parallel -")
        assert machine.supported_features == {"kvm", "big-parallel"}
        assert machine.mandatory_features == {"big-parallel"}


def test_speed_is_rounded_unless_fractions_are_asked_for(builder: Any) -> None:
    facts = [builder(builder_speed_factor=1.6)]
    assert " 2 2 " in machines_plan(facts, "/key")["file"]
    assert " 2 1.6 " in machines_plan(facts, "/key", fractional_speed=True)["file"]


def test_ipv6_address_is_written_as_nix_reads_it(builder: Any) -> None:
    plan = machines_plan([builder(builder_address="2001:db8::7")], "/key")
    assert plan["file"].startswith("build@[2001:db8::7] ")
    assert plan["known_hosts"].startswith("2001:db8::7 ssh-ed25519 ")


def test_unknown_scheme_is_told() -> None:
    with pytest.raises(FleetError, match="'gopher'"):
        machines_plan([], "/key", "gopher")
