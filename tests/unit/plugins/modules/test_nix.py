# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules nix_build and nix_copy, as Ansible runs them, with programs that stand in for Nix."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.modules import nix_build, nix_copy

DRV = "/nix/store/00000000000000000000000000000000-thing.drv"
OUT = "/nix/store/11111111111111111111111111111111-thing"
BUILT = json.dumps({"action": "start", "id": 1, "type": 105, "fields": [DRV]})
ERROR = json.dumps(
    {"action": "msg", "level": 0, "msg": f"builder for '{DRV}' failed", "raw_msg": f"builder for '{DRV}' failed"}
)
LINE = json.dumps({"action": "result", "id": 1, "type": 101, "fields": ["its last words"]})


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("NIX_CONFIG", raising=False)
    return tmp_path


def program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def store(directory: Path, realise: str = ":") -> None:
    program(
        directory,
        "nix-store",
        f"""echo "$NIX_CONFIG" >{directory}/settings
case "$*" in
  *--outputs*) echo {OUT} ;;
  *--dry-run*) printf 'this derivation will be built:\\n  {DRV}\\n' >&2 ;;
  *--realise*) echo "$*" >{directory}/realised; {realise} ;;
esac""",
    )


def run(
    module: ModuleType, capsys: pytest.CaptureFixture[str], check_mode: bool = False, **options: Any
) -> dict[str, Any]:
    with patch_module_args({**options, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_current_directory_is_no_place_to_look_for_programs() -> None:
    path = Nix({}, {})._environment["PATH"]
    assert "" not in path.split(":")
    assert path.startswith("/run/current-system/sw/bin:")


def test_a_derivation_is_built_with_the_settings(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(programs, f"echo '@nix {BUILT}' >&2")
    settings: dict[str, Any] = {
        "max_jobs": "0",
        "substituters": [],
        "options": {"sandbox": True},
        "builders": "a x86_64-linux\n\nb x86_64-linux",
    }
    answer = run(nix_build, capsys, derivation=DRV, **settings)
    assert (answer["changed"], answer["built"], answer["out_path"]) == (True, [DRV], OUT)
    assert answer["outputs"] == {"out": OUT}
    lines = (programs / "settings").read_text().splitlines()
    assert sorted(line.strip() for line in lines if line) == [
        "builders = a x86_64-linux ; b x86_64-linux",
        "max-jobs = 0",
        "sandbox = true",
        "substituters =",
    ]


def test_what_stands_among_the_options_wins(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(programs)
    run(nix_build, capsys, derivation=DRV, cores=2, keep_going=True, options={"cores": 4})
    assert sorted((programs / "settings").read_text().split("\n"))[-2:] == ["cores = 4", "keep-going = true"]


def test_nothing_to_build_is_no_change(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(programs)
    assert run(nix_build, capsys, derivation=DRV)["changed"] is False


def test_check_mode_builds_nothing(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(programs)
    link = programs / "result"
    answer = run(nix_build, capsys, check_mode=True, derivation=DRV, out_link=str(link))
    assert (answer["changed"], answer["built"]) == (True, [DRV])
    assert answer["diff"] == {
        "before": "",
        "after": f"{link} -> {OUT}\n",
        "prepared": f"to be built:\n  {DRV}\n",
    }
    assert not (programs / "realised").exists()


def test_check_mode_goes_on_where_the_derivation_is_still_to_come(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "nix-store", "exit 1")
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: warnings.append(warning))
    answer = run(nix_build, capsys, check_mode=True, derivation=DRV)
    assert (answer["changed"], answer["built"], answer["outputs"]) == (True, [DRV], {})
    assert ["nix_copy brings it there" in warning for warning in warnings] == [True]
    assert run(nix_build, capsys, derivation=DRV)["failed"]


def test_a_failure_has_the_build_s_own_log(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(
        programs,
        f"printf '%s\\n' '@nix {BUILT}' '@nix {LINE}' \"@nix $ERROR\" >&2; exit 100".replace(
            "$ERROR", ERROR.replace('"', '\\"')
        ),
    )
    answer = run(nix_build, capsys, derivation=DRV)
    assert answer["failed"]
    assert answer["failed_derivations"] == [DRV]
    assert answer["log"] == ["its last words"]
    assert "its last words" in answer["msg"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"file": "/a", "expression": "1"},
        {"derivation": DRV, "evaluate_only": True},
        {"file": "/a", "evaluate_only": True, "rebuild": True},
    ],
)
def test_what_contradicts_itself_is_refused(
    programs: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    assert run(nix_build, capsys, **options)["failed"]


def test_a_copy_tells_what_travelled(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = json.dumps({"action": "start", "id": 1, "type": 100, "fields": [OUT]})
    program(programs, "nix-copy-closure", f"echo '@nix {event}' >&2")
    program(programs, "nix-store", 'case "$*" in *--size*) echo 42 ;; esac')
    answer = run(nix_copy, capsys, paths=[OUT], to="ssh://build@host")
    assert (answer["changed"], answer["copied"], answer["diff"]["after"]) == (True, [OUT], f"{OUT}\n")
    assert (answer["bytes_copied"], answer["substituted"]) == (42, [])
    program(programs, "nix-copy-closure", ":")
    assert run(nix_copy, capsys, paths=[OUT], to="ssh://build@host")["changed"] is False


def test_the_other_host_is_reached_as_the_options_say(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(programs, "nix-copy-closure", f'echo "$NIX_SSHOPTS" >{programs}/asked')
    ways = {"ssh_key": "/key", "ssh_known_hosts": "/known", "ssh_config": "/config", "ssh_options": ["ProxyJump=gate"]}
    run(nix_copy, capsys, paths=[OUT], to="ssh://build@host", **ways)
    asked = (programs / "asked").read_text()
    assert asked.startswith("-F /config -i /key -o IdentitiesOnly=yes -o ProxyJump=gate -o UserKnownHostsFile=/known ")


def test_a_host_that_refuses_is_explained(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(programs, "nix-copy-closure", "echo 'build@host: Permission denied (publickey).' >&2; exit 1")
    answer = run(nix_copy, capsys, paths=[OUT], to="ssh://build@host", ssh_key="/key")
    assert answer["failed"]
    assert "does not accept the SSH key" in answer["msg"]
