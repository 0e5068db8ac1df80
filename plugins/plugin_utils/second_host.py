# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to a second inventory host from within an action plugin, made as Ansible makes it for a delegated task."""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader

Variables = dict[str, Any]
CLEANUP_SECONDS = 30.0


class Side:
    """A host on which modules are run: the task's own, or a second one."""

    def __init__(self, name: str, action: ActionBase, variables: Variables) -> None:
        self.name = name
        self._action = action
        self._variables = variables

    def run(self, module: str, within: float, **arguments: Any) -> dict[str, Any]:
        """Run a module there, and wait for its answer so many seconds."""
        return dict(
            self._bounded(
                within,
                lambda: self._action._execute_module(
                    module_name=module, module_args=arguments, task_vars=self._variables
                ),
            )
        )

    def _bounded(self, within: float, work: Callable[[], Any]) -> Any:
        """Do something on the host; a connection whose other end vanished may never answer, and is left behind."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        context = contextvars.copy_context()  # Ansible keeps templating and warnings in there
        threading.Thread(target=context.run, args=(_answer, answers, work), daemon=True).start()
        try:
            answer = answers.get(timeout=within)
        except queue.Empty:
            raise AnsibleConnectionFailure(f"{self.name} did not answer within {within:g} seconds") from None
        if isinstance(answer, AnsibleError):
            raise answer
        return answer

    def reset(self) -> None:
        """Begin with a new connection after one that broke."""
        if not self.is_local:
            self._action._connection.reset()

    @property
    def connection(self) -> Any:
        """The connection plugin."""
        return self._action._connection

    @property
    def is_local(self) -> bool:
        """Whether modules run on the controller itself."""
        return str(self._action._connection.transport).rpartition(".")[2] == "local"

    @property
    def address(self) -> str:
        """Where Ansible reaches the host."""
        return str(self._action._get_remote_addr(self._variables) or "")

    def cleanup(self) -> None:
        """Remove temporary files and let go of the connection."""
        with contextlib.suppress(AnsibleConnectionFailure):
            self._bounded(CLEANUP_SECONDS, lambda: self._action.cleanup(force=True))
        self._action._connection.close()


def _answer(answers: queue.SimpleQueue[Any], work: Callable[[], Any]) -> None:
    """In a thread: the result or Ansible's error; any other one is the thread's own and shows there."""
    answer: Any = AnsibleActionFail("running a module met an error of its own; see above")
    try:
        answer = work()
    except AnsibleError as error:
        answer = error
    finally:
        answers.put(answer)


class _SecondAction(ActionBase):
    """Runs modules on the second host."""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> dict[str, Any]:
        raise NotImplementedError("modules are run one by one")


def open_second_host(action: ActionBase, name: str, task_vars: Variables) -> Side:
    """Connect to an inventory host with its own variables: address, port, user, become, interpreter."""
    hostvars = task_vars["hostvars"]
    if name not in hostvars:
        raise AnsibleActionFail(f"source: {name} is not a host of the inventory")
    task = action._task.copy()
    task.delegate_to = name
    manager = hostvars._variable_manager
    delegated, _name = manager.get_delegated_vars_and_hostname(action._templar, task, task_vars)
    variables = {**task_vars, **delegated}
    own = delegated["ansible_delegated_vars"][name]
    templar = action._templar.copy_with_new_env(available_variables=own)
    context = _play_context(action._play_context, task_vars).set_task_and_variable_override(task, variables, templar)
    context.post_validate(templar=templar)
    connection = _connection(task, own, templar, context)
    second = _SecondAction(task, connection, context, action._loader, templar, action._shared_loader_obj)
    return Side(name, second, variables)


def _play_context(of_task: PlayContext, task_vars: Variables) -> PlayContext:
    """What the command line said, without anything that belongs to the task's own host."""
    passwords = {
        "conn_pass": "" if _has(task_vars, "ansible_password", "ansible_ssh_pass") else of_task.password,
        "become_pass": "" if _has(task_vars, "ansible_become_password", "ansible_become_pass") else of_task.become_pass,
    }
    return PlayContext(passwords=passwords)


def _has(variables: Mapping[str, Any], *names: str) -> bool:
    return any(name in variables for name in names)


def _connection(task: Any, variables: Variables, templar: Any, context: PlayContext) -> Any:
    kind = templar.template(variables["ansible_connection"]) if "ansible_connection" in variables else task.connection
    context.connection = kind
    connection = connection_loader.get(
        kind, context, new_stdin=None, task_uuid=task._uuid, ansible_playbook_pid=str(os.getppid())
    )
    if not connection:
        raise AnsibleActionFail(f"source: the connection plugin {kind} was not found")
    keys = task.dump_attrs()
    keys["timeout"] = context.timeout  # of the connection; the task's attribute of that name is another thing
    keys.pop("retries", None)
    if context.password:
        keys["password"] = context.password
    connection.set_become_plugin(_become(task, variables, templar))
    context.set_attributes_from_plugin(connection)
    connection.set_options(task_keys=keys, var_options=_options("connection", connection, variables, templar))
    connection._shell.set_options(task_keys=keys, var_options=_options("shell", connection._shell, variables, templar))
    if connection.become:
        if context.become_pass:
            keys["become_pass"] = context.become_pass
        connection.become.set_options(
            task_keys=keys, var_options=_options("become", connection.become, variables, templar)
        )
    return connection


def _become(task: Any, variables: Variables, templar: Any) -> Any:
    wanted = variables.get("ansible_become")
    if not (task.become if wanted is None else boolean(templar.template(wanted))):
        return None
    method = templar.template(variables.get("ansible_become_method") or task.become_method)
    plugin = become_loader.get(method)
    if not plugin:
        raise AnsibleActionFail(f"source: the become plugin {method} was not found")
    return plugin


def _options(kind: str, plugin: Any, variables: Variables, templar: Any) -> Variables:
    """The variables that this plugin reads, templated with the second host's own values."""
    names = constants.config.get_plugin_vars(kind, plugin._load_name)
    return {name: templar.template(variables[name]) for name in names if name in variables}
