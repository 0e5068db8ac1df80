# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second host of a task is reached by its own variables, never by those of the task's host, and waited for with a limit."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.plugins import AnsiblePlugin
from ansible.plugins import loader as plugins
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.nixmetal.builders.plugins.plugin_utils.second_host import Side, open_second_host

ACTION = "nixmetal.builders.artifact_stream"
SSH = {"place": "192.0.2.9", "ansible_host": "{{ place }}", "ansible_port": 2222, "ansible_user": "root"}
COMMAND_LINE = {"connection": "ssh", "become_method": "sudo"}  # what ansible-playbook has without any option
TYPED = {"conn_pass": "typed for SSH", "become_pass": "typed for sudo"}


class Opened:
    """A task on web that opens a second host, with what is known after a playbook has started."""

    def __init__(self, tmp_path: Path) -> None:
        self._file = tmp_path / "hosts.json"
        self._loader = DataLoader()

    def __call__(
        self,
        second: dict[str, Any],
        web: dict[str, Any] | None = None,
        passwords: dict[str, str] | None = None,
        name: str = "build",
        **task: Any,
    ) -> Side:
        hosts = {"web": {"ansible_host": "192.0.2.1", **(web or {})}, "build": second}
        self._file.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
        inventory = InventoryManager(loader=self._loader, sources=[str(self._file)])
        manager = VariableManager(loader=self._loader, inventory=inventory)
        manager._hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=self._loader)
        arguments = {"source": "build", "src": "/a", "dest": "/b"}
        play = Play.load(
            {"hosts": "web", **COMMAND_LINE, "gather_facts": False, "tasks": [{ACTION: arguments, **task}]},
            variable_manager=manager,
            loader=self._loader,
        )
        [made] = [each for block in play.tasks for each in block.block]
        variables = manager.get_vars(play=play, host=inventory.get_host("web"), task=made)
        templar = Templar(loader=self._loader, variables=variables)
        variables.update(manager.get_delegated_vars_and_hostname(templar, made, variables)[0])
        context = PlayContext(play=play, passwords=passwords or {})
        context = context.set_task_and_variable_override(made, variables, templar)
        action = plugins.action_loader.get(
            ACTION,
            task=made,
            connection=plugins.connection_loader.get("ansible.builtin.local", context),
            play_context=context,
            loader=self._loader,
            templar=templar,
            shared_loader_obj=plugins,
        )
        return open_second_host(action, name, variables)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


def test_its_address_port_and_options_are_templates_of_its_own(opened: Opened) -> None:
    web = {"place": "192.0.2.1", "ansible_port": 1, "ansible_user": "nobody", "ansible_ssh_common_args": "-o no"}
    own = {"ansible_ssh_common_args": "-o ProxyJump={{ place }}", "ansible_remote_tmp": "/var/{{ place }}"}
    side = opened({**SSH, **own}, web)
    found = {name: side.connection.get_option(name) for name in ("host", "port", "remote_user", "ssh_common_args")}
    assert found == {
        "host": "192.0.2.9",
        "port": 2222,
        "remote_user": "root",
        "ssh_common_args": "-o ProxyJump=192.0.2.9",
    }
    assert side.connection._shell.get_option("remote_tmp") == "/var/192.0.2.9"
    assert (side.name, side.address, side.is_local) == ("build", "192.0.2.9", False)


def test_it_is_the_controller_when_its_variables_say_so(opened: Opened) -> None:
    for kind in ("local", "ansible.builtin.local", "{{ way }}"):
        assert opened({"ansible_connection": kind, "way": "local"}).is_local
    assert not opened(SSH, {"ansible_connection": "local"}).is_local


def test_a_delegated_task_reaches_it_all_the_same(opened: Opened) -> None:
    side = opened({**SSH, "ansible_python_interpreter": "/own/python"}, delegate_to="web")
    # Where Ansible looks for the interpreter of a delegated task.
    assert side._variables["ansible_delegated_vars"]["build"]["ansible_python_interpreter"] == "/own/python"
    assert (side.address, side.connection.get_option("port")) == ("192.0.2.9", 2222)


def test_time_and_tries_of_the_task_are_not_those_of_the_connection(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[dict[str, Any]] = []
    set_options = AnsiblePlugin.set_options

    def noted(plugin: AnsiblePlugin, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        known.append(dict(task_keys or {}))
        set_options(plugin, task_keys, var_options, direct)

    monkeypatch.setattr(AnsiblePlugin, "set_options", noted)
    side = opened(SSH, timeout=7200, retries=50)
    assert (side.connection.get_option("timeout"), side.connection.get_option("reconnection_retries")) == (10, 0)
    # Connections of other collections have an option of the very name.
    assert known
    assert not [keys for keys in known if "retries" in keys]
    assert opened({**SSH, "ansible_ssh_retries": 3}).connection.get_option("reconnection_retries") == 3


@pytest.mark.parametrize("named", ["ansible_password", "ansible_ssh_pass"])
def test_a_password_that_belongs_to_the_task_s_host_is_not_shown_to_it(opened: Opened, named: str) -> None:
    assert opened(SSH, {}, TYPED).connection.get_option("password") == "typed for SSH"
    assert not opened(SSH, {named: "of web"}, TYPED).connection.get_option("password")
    assert (
        opened({**SSH, "ansible_password": "its own"}, {named: "of web"}).connection.get_option("password") == "its own"
    )


@pytest.mark.parametrize("named", ["ansible_become_password", "ansible_become_pass"])
def test_a_become_password_that_belongs_to_the_task_s_host_is_not_shown_to_it(opened: Opened, named: str) -> None:
    becomes = {**SSH, "ansible_become": True}
    assert opened(becomes, {}, TYPED).connection.become.get_option("become_pass") == "typed for sudo"
    assert not opened(becomes, {named: "of web"}, TYPED).connection.become.get_option("become_pass")
    side = opened({**becomes, "ansible_become_password": "its own"}, {named: "of web"})
    assert side.connection.become.get_option("become_pass") == "its own"


@pytest.mark.parametrize(
    ("its_own", "of_the_task", "method"),
    [
        ({}, {}, None),
        ({}, {"become": True}, "ansible.builtin.sudo"),
        ({"ansible_become": "no"}, {"become": True}, None),
        ({"ansible_become": "{{ wanted }}", "wanted": "yes"}, {}, "ansible.builtin.sudo"),
        ({"ansible_become_method": "{{ wanted }}", "wanted": "su"}, {"become": True}, "ansible.builtin.su"),
        ({}, {"become": True, "become_method": "su"}, "ansible.builtin.su"),
    ],
)
def test_whether_and_how_it_becomes_another_user(
    opened: Opened, its_own: dict[str, Any], of_the_task: dict[str, Any], method: str | None
) -> None:
    become = opened({**SSH, **its_own}, {"ansible_become_method": "runas"}, **of_the_task).connection.become
    assert (become.ansible_name if become else None) == method


def test_the_user_that_it_becomes_is_its_own(opened: Opened) -> None:
    own = {"ansible_become": True, "ansible_become_user": "{{ place }}", "ansible_become_exe": "/opt/sudo"}
    become = opened({**SSH, **own}, {"ansible_become_user": "nobody"}).connection.become
    assert (become.get_option("become_user"), become.get_option("become_exe")) == ("192.0.2.9", "/opt/sudo")


@pytest.mark.parametrize(
    ("second", "name", "words"),
    [
        (SSH, "biuld", "source: biuld is not a host of the inventory"),
        ({"ansible_connection": "pigeon"}, "build", "source: the connection plugin pigeon was not found"),
        (
            {**SSH, "ansible_become": True, "ansible_become_method": "please"},
            "build",
            "source: the become plugin please was not found",
        ),
    ],
)
def test_what_is_not_there_is_named(opened: Opened, second: dict[str, Any], name: str, words: str) -> None:
    with pytest.raises(AnsibleActionFail, match=words):
        opened(second, name=name)


class Connection:
    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.done: list[str] = []

    def reset(self) -> None:
        self.done.append("reset")

    def close(self) -> None:
        self.done.append("close")


class Action:
    """Runs a module by a function of the test."""

    def __init__(self, work: Callable[..., Any], transport: str = "ssh") -> None:
        self._execute_module = work
        self._connection = Connection(transport)

    def cleanup(self, force: bool) -> None:
        assert force
        self._execute_module()


def side(work: Callable[..., Any], transport: str = "ssh") -> tuple[Side, list[str]]:
    action = Action(work, transport)
    return Side("build", action, {"a": 1}), action._connection.done  # type: ignore[arg-type]


def raising(error: Exception) -> Callable[..., Any]:
    def work(**_arguments: Any) -> Any:
        raise error

    return work


def test_a_module_gets_its_arguments_and_ansible_s_own_context() -> None:
    known: contextvars.ContextVar[str] = contextvars.ContextVar("known", default="lost")
    known.set("kept")
    build, _done = side(lambda **given: {**given, "known": known.get()})
    assert build.run("a.b.c", 10, operation="wait") == {
        "module_name": "a.b.c",
        "module_args": {"operation": "wait"},
        "task_vars": {"a": 1},
        "known": "kept",
    }


def test_a_host_that_never_answers_is_not_waited_for() -> None:
    answer = threading.Event()
    build, _done = side(lambda **_given: {"late": answer.wait(10)})
    with pytest.raises(AnsibleConnectionFailure, match=r"build did not answer within 0\.1 seconds"):
        build.run("a.b.c", 0.1)
    answer.set()


def test_ansible_s_own_errors_come_as_they_are() -> None:
    with pytest.raises(AnsibleConnectionFailure, match="no route"):
        side(raising(AnsibleConnectionFailure("no route")))[0].run("a.b.c", 10)


def test_an_error_of_ours_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _args: shown.set())
    with pytest.raises(AnsibleActionFail, match="an error of its own; see above"):
        side(raising(ZeroDivisionError()))[0].run("a.b.c", 30)
    assert shown.wait(30), "the traceback is nowhere"


@pytest.mark.parametrize(("transport", "done"), [("ssh", ["reset"]), ("local", []), ("ansible.builtin.local", [])])
def test_only_a_connection_over_a_network_is_begun_anew(transport: str, done: list[str]) -> None:
    build, seen = side(dict, transport)
    build.reset()
    assert seen == done


@pytest.mark.parametrize("error", [None, AnsibleConnectionFailure("gone")])
def test_the_connection_is_let_go_of_also_when_the_host_is_gone(error: AnsibleError | None) -> None:
    build, done = side(raising(error) if error else dict)
    build.cleanup()
    assert done == ["close"]
