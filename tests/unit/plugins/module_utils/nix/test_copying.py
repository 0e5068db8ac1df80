# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies to another host, with programs that say what they were asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix, configuration
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.copying import Copied, copy
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError, NixMissing
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.ssh import Peer
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.store import invalid, query

COPIED = '@nix {"action":"start","id":1,"type":100,"fields":["/nix/store/a","","ssh://build@host"]}'


def program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def nix(directory: Path) -> Nix:
    return Nix({}, {"PATH": f"{directory}:/usr/bin:/bin"})


def store(directory: Path) -> None:
    """A store here that has all, and one there that lacks some."""
    program(
        directory,
        "nix-store",
        f"""echo "$NIX_CONFIG" "$*" >>{directory}/questions
case "$NIX_CONFIG $*" in
  *ssh:*--print-invalid*lacking*) echo /nix/store/lacking ;;
  *ssh:*--print-invalid*/a) echo /nix/store/a ;;
  *--print-invalid*) ;;
  *--requisites*) echo /nix/store/lacking; echo /nix/store/there ;;
  *--size*) shift 2; for path; do echo 700; done ;;
esac""",
    )


def test_what_is_missing_is_copied_with_ssh_s_options(tmp_path: Path) -> None:
    program(tmp_path, "nix-copy-closure", f'echo "$NIX_SSHOPTS" "$@" >{tmp_path}/asked; echo \'{COPIED}\' >&2')
    store(tmp_path)
    peer = Peer("ssh://build@host:2222", key="/key", known_hosts="/known", options=("ProxyJump=gate",))
    copied = copy(nix(tmp_path), ["/nix/store/a"], peer, substitute=True)
    assert copied == Copied(["/nix/store/a"], 700, substituted=["/nix/store/lacking"])
    assert copied.public()["changed"]
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:6] == ["-F", "none", "-i", "/key", "-o", "IdentitiesOnly=yes"]
    assert "StrictHostKeyChecking=yes" in asked
    assert asked[asked.index("-p") + 1] == "2222"
    assert asked.index("ProxyJump=gate") < asked.index("BatchMode=yes")
    assert asked[-4:] == ["--use-substitutes", "--to", "build@host", "/nix/store/a"]


def test_check_mode_asks_for_the_closure_only_when_a_path_lacks(tmp_path: Path) -> None:
    store(tmp_path)
    peer = Peer("ssh://build@host")
    assert copy(nix(tmp_path), ["/nix/store/there"], peer, check_mode=True) == Copied()
    assert len((tmp_path / "questions").read_text().splitlines()) == 1
    assert copy(nix(tmp_path), ["/nix/store/lacking"], peer, check_mode=True) == Copied(["/nix/store/lacking"], 700)
    assert "store = ssh://build@host" in (tmp_path / "questions").read_text()


def test_check_mode_takes_what_is_not_built_yet_for_lacking_too(tmp_path: Path) -> None:
    program(
        tmp_path,
        "nix-store",
        'case "$*" in *--print-invalid*) echo /nix/store/a ;; *--check-validity*) exit 1 ;; *) exit 9 ;; esac',
    )
    assert copy(nix(tmp_path), ["/nix/store/a"], Peer("ssh://build@host"), check_mode=True) == Copied(["/nix/store/a"])


def test_a_host_that_cannot_be_asked_is_not_taken_for_one_that_has_all(tmp_path: Path) -> None:
    program(
        tmp_path, "nix-store", f'echo "$NIX_SSHOPTS" >{tmp_path}/way; echo "Host key verification failed." >&2; exit 1'
    )
    for ask in ({"check_mode": True}, {"substitute": True}):
        with pytest.raises(NixError, match=r"to ssh://build@host:2222 failed: (.|\n)*compare the known_hosts file"):
            copy(nix(tmp_path), ["/nix/store/a"], Peer("ssh://build@host:2222"), **ask)
    assert "-p 2222 " in (tmp_path / "way").read_text()


def test_a_path_that_cannot_be_read_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    program(tmp_path, "nix-store", "echo 'error: cannot connect to socket' >&2; exit 1")
    with pytest.raises(NixError, match=r"cannot read /nix/store/a: error: cannot connect to socket.*start nix-daemon"):
        query(nix(tmp_path), "--size", ["/nix/store/a"])


def test_many_paths_are_asked_for_in_portions(tmp_path: Path) -> None:
    program(
        tmp_path,
        "nix-store",
        f'echo $# >>{tmp_path}/words; for each; do case "$each" in /*) echo "$each" ;; esac; done',
    )
    paths = [f"/nix/store/{number}" for number in range(2500)]
    assert query(nix(tmp_path), "--outputs", paths) == paths
    assert invalid(nix(tmp_path), paths) == paths
    assert (tmp_path / "words").read_text().split() == ["1002", "1002", "502"] * 2


def test_no_paths_ask_nobody(tmp_path: Path) -> None:
    assert copy(nix(tmp_path), [], Peer("ssh://build@host")) == Copied()


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("error: path '/nix/store/a' is not valid", "build or evaluate there first"),
        ("error: cannot add path '/nix/store/a' because it lacks a valid signature", "trusted-users"),
        ("Host key verification failed.", "known_hosts"),
        ("error: writing to file: No space left on device", "no space left on build@host"),
    ],
)
def test_a_failed_copy_says_what_to_do(tmp_path: Path, words: str, advice: str) -> None:
    program(tmp_path, "nix-copy-closure", f'echo "{words}" >&2; exit 1')
    with pytest.raises(NixError) as caught:
        copy(nix(tmp_path), ["/nix/store/a"], Peer("ssh://build@host"))
    assert words in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    "to", ["host", "ssh-ng://host", "ssh://", "ssh://host:port", "ssh://a b@host", "ssh://host?x=1"]
)
def test_what_is_no_address_is_refused(to: str) -> None:
    with pytest.raises(NixError, match="not an address like"):
        Peer(to).environment()


@pytest.mark.parametrize("wrong", [{"key": "/my key"}, {"options": ("",)}, {"config": ""}])
def test_a_space_in_an_option_is_refused_before_anything_runs(wrong: dict[str, Any]) -> None:
    with pytest.raises(NixError, match="is empty or has a space"):
        Peer("ssh://host", **wrong).environment()


def test_a_host_is_known_by_its_own_file_alone_and_nobody_is_asked() -> None:
    words = Peer("ssh://build@host", known_hosts="/known").environment()["NIX_SSHOPTS"]
    assert words == (
        "-F none -o UserKnownHostsFile=/known -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
        " -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    )


def test_an_ipv6_address_loses_its_brackets() -> None:
    peer = Peer("ssh://build@[2001:db8::1]:2222")
    assert (peer.login, peer.store) == ("build@2001:db8::1", "ssh://build@2001:db8::1")
    assert "-p 2222" in peer.environment()["NIX_SSHOPTS"]


def test_a_nix_has_a_home_in_a_service_without_one(tmp_path: Path) -> None:
    program(tmp_path, "nix-store", 'echo "$HOME"')
    assert nix(tmp_path).run("nix-store").lines


def test_a_host_without_nix_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.nixmetal.builders.plugins.module_utils.nix.command.USUAL_PLACES", ())
    with pytest.raises(NixMissing, match=r"Nix is not installed on .*nix_host"):
        Nix({}, {"PATH": str(tmp_path)}).run("nix-store")


def test_settings_go_to_nix_unseen_and_never_break_out_of_their_line(tmp_path: Path) -> None:
    program(tmp_path, "nix-store", 'printf "%s" "$NIX_CONFIG"')
    settings = {"max-jobs": 0, "sandbox": True, "substituters": ["https://a", "https://b"], "cores": None}
    answer = Nix(settings, {"PATH": f"{tmp_path}:/bin", "NIX_CONFIG": "cores = 2"}).run("nix-store")
    assert answer.out.splitlines() == [
        "cores = 2",
        "max-jobs = 0",
        "sandbox = true",
        "substituters = https://a https://b",
    ]
    for wrong in ({"builders": "a\nsandbox = false"}, {"a b": 1}, {"a=b": 1}):
        with pytest.raises(NixError, match="one word"):
            configuration(wrong)
