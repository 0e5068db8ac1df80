# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` makes of playbooks' output and of the inventory. The demonstration itself is tests/system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import demo
import playbook_run
import pytest

RUN = r"""
PLAY [Start] ********
TASK [nixmetal.builders.lab : Make the Debian root] ********
ok: [localhost]
ok: [localhost] =>
    msg: 1 of 1 machines
PLAY RECAP *********
lab-build                  : ok=9    changed=1    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0
localhost                  : ok=3    changed=0    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0
"""


def printing(text: str, status: int = 0) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit({status})"]


def test_changes_are_counted_from_the_recap(tmp_path: Path) -> None:
    outcome = playbook_run.run(printing(RUN), {}, str(tmp_path))
    assert outcome.status == 0
    assert outcome.changed == {"lab-build": 1, "localhost": 0}
    assert outcome.changes == 1


def test_a_reader_sees_tasks_and_messages_and_no_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    playbook_run.run(printing(RUN), {}, str(tmp_path))
    shown = capsys.readouterr().out
    assert "s  Make the Debian root" in shown
    assert "msg: 1 of 1 machines" in shown
    assert "ok:" not in shown


def test_silence_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(playbook_run, "SILENCE_SECONDS", 0.05)
    playbook_run.run([sys.executable, "-c", "import time; time.sleep(0.5)"], {}, str(tmp_path))
    assert "still at it" in capsys.readouterr().out


POLLED = """
import time
print("TASK [Make the Debian root] ****", flush=True)
for _ in range(20):
    print("ASYNC POLL on localhost: jid=1 started=1 finished=0", flush=True)
    time.sleep(0.05)
"""


def test_a_task_that_lasts_is_named_and_its_polls_are_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(playbook_run, "SILENCE_SECONDS", 0.3)
    playbook_run.run([sys.executable, "-c", POLLED], {}, str(tmp_path))
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("s  ")[1] for line in shown[:2]] == ["Make the Debian root", "... still at it"]


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Wait for the reader
      ansible.builtin.wait_for: {path: "{{ read }}", timeout: 60}
    - name: Do nothing
      ansible.builtin.fail:
      when: false
"""


def test_ansible_names_a_task_while_it_runs_and_skipped_ones_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    seen: list[str] = []

    class Reader(playbook_run.Screen):
        def show(self, line: str | None, seconds: float) -> None:
            super().show(line, seconds)
            seen.append(capsys.readouterr().out)
            if "Wait for the reader" in "".join(seen):
                (tmp_path / "read").touch()

    monkeypatch.setattr(playbook_run, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(playbook_run, "Screen", Reader)
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "play.yml"]
    env = os.environ | {"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    given = ["-e", f"read={tmp_path / 'read'}", "-e", f"ansible_python_interpreter={sys.executable}"]
    outcome = playbook_run.run([*command, *given], env, str(tmp_path))
    assert outcome.status == 0, outcome.last_lines
    assert "Do nothing" not in "".join(seen)


def test_a_failure_shows_everything_that_was_said_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert playbook_run.run(printing("ok: [localhost]", 2), {}, str(tmp_path)).status == 2
    assert "ok: [localhost]" in capsys.readouterr().err


def machine(**facts: str) -> dict[str, Any]:
    return {"builder_boot_id": "b1", "builder_image_id": "i1", **facts}


class FakeLab(demo.Lab):
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def ssh(self, address: str, command: str, text: str) -> str:
        assert "--max-jobs 0" in command
        return self.answer


def test_the_machines_answer_is_compared_with_the_inventory() -> None:
    answer = '{"boot_id": "b1", "image_id": "i1"}'
    assert demo.build_on(FakeLab(answer), "192.0.2.12", machine()) == answer


@pytest.mark.parametrize("fact", ["boot_id", "image_id"])
def test_another_machine_than_the_inventory_means_is_told(fact: str) -> None:
    with pytest.raises(demo.DemoError, match=f"{fact}: the machine says .1, the inventory other"):
        demo.build_on(
            FakeLab('{"boot_id": "b1", "image_id": "i1"}'), "192.0.2.12", machine(**{f"builder_{fact}": "other"})
        )


def test_builders_are_read_from_the_inventory() -> None:
    listing = {
        "_meta": {
            "hostvars": {
                "id-1": {"builder_id": {"__ansible_unsafe": "id-1"}, "builder_systems": [{"__ansible_unsafe": "x"}]}
            }
        },
        "builders": {"hosts": ["id-1"]},
    }
    assert demo.builders(listing) == [{"builder_id": "id-1", "builder_systems": ["x"]}]
    assert demo.builders({"_meta": {"hostvars": {}}}) == []


def test_no_proxy_stands_between_this_machine_and_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert demo.environment("10.213.77")["NO_PROXY"] == "localhost,10.213.77.2,10.213.77.11"


def test_a_lab_of_other_settings_has_an_inventory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.os, "geteuid", lambda: 0)
    assert demo.Lab([]).inventory == demo.CHECKOUT / "inventories/lab"
    assert demo.Lab(["lab_name=two"]).inventory == Path("/var/lib/nixmetal-lab/two/inventory")
    assert demo.Lab(["lab_directory=/srv/lab"]).inventory == Path("/srv/lab/inventory")
