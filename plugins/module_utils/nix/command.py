# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nix's programs on this host: where they are, and how they are called."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any, Callable, cast

from .errors import NixError, NixMissing

# Where installers put Nix; a non-interactive SSH session often has none of these on PATH.
USUAL_PLACES = (
    "/run/current-system/sw/bin",
    "/nix/var/nix/profiles/default/bin",
    os.path.expanduser("~/.nix-profile/bin"),
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
)

STOP_SECONDS = 20.0
Event = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a program said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Non-empty lines of standard output."""
        return [line for line in self.out.splitlines() if line.strip()]


class Nix:
    """Runs Nix's programs with one set of settings."""

    def __init__(
        self,
        settings: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
        watch: Callable[[Event], None] | None = None,
    ) -> None:
        self.host = socket.gethostname()
        self.watch = watch  # is told each event of a build's log
        self._environment = dict(os.environ if environment is None else environment)
        self._path = os.pathsep.join(filter(None, [self._environment.get("PATH"), *USUAL_PLACES]))
        inherited = self._environment.get("NIX_CONFIG", "")
        # Not as arguments: other users of the host read those, and some settings are secrets.
        self._environment["NIX_CONFIG"] = "\n".join([inherited, *configuration(settings)]).strip("\n")
        self._environment["PATH"] = self._path
        # Nix refuses to work without a home.
        self._environment.setdefault("HOME", os.path.expanduser("~"))
        self._running: subprocess.Popen[str] | None = None
        self._stopped = ""

    def having(self, settings: Mapping[str, object]) -> Nix:
        """The same Nix with further settings, which win."""
        return Nix(settings, self._environment, self.watch)

    def run(
        self, program: str, *arguments: str, environment: Mapping[str, str] | None = None, text: str | None = None
    ) -> Answer:
        """Run one program to its end, with a text as its standard input."""
        process = self._start(program, arguments, subprocess.PIPE, subprocess.PIPE, environment)
        out, err = process.communicate(text)
        return self._ended(process, out, err)

    def follow(self, program: str, *arguments: str, listen: Callable[[str], None]) -> Answer:
        """Run one program to its end, and hear each line of its standard error as it comes."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
            process = self._start(program, arguments, subprocess.DEVNULL, out)
            with cast("IO[str]", process.stderr) as lines:
                for line in lines:
                    listen(line.rstrip("\n"))
            process.wait()
            out.seek(0)
            return self._ended(process, out.read(), "")

    def stop(self, why: str) -> None:
        """End what runs, from another thread; whatever is run later fails at once with the same words."""
        self._stopped = why
        running = self._running
        if running is None:
            return
        # Nix ends its builders when it is asked to end; killed, it cannot.
        running.terminate()
        threading.Timer(STOP_SECONDS, running.kill).start()

    def go_on(self) -> None:
        """Fail if it was told to stop."""
        if self._stopped:
            raise NixError(self._stopped)

    def _start(
        self,
        program: str,
        arguments: Sequence[str],
        stdin: int,
        stdout: int | IO[str],
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        self.go_on()
        # Plain Python: it knows no module whose run_command it could call.
        # pylint: disable-next=ansible-bad-function
        self._running = subprocess.Popen(
            [self._find(program), *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**self._environment, **(environment or {})},
            encoding="utf-8",
            errors="replace",
        )
        return self._running

    def _ended(self, process: subprocess.Popen[str], out: str, err: str) -> Answer:
        self._running = None
        self.go_on()
        return Answer(process.returncode, out, err)

    def _find(self, program: str) -> str:
        found = shutil.which(program, path=self._path)
        if found is None:
            raise NixMissing(
                f"Nix is not installed on {self.host}: {program} is neither on PATH nor in one of its usual places. "
                "Role nixmetal.builders.nix_host installs it (nix_host_install)."
            )
        return found


def configuration(settings: Mapping[str, object]) -> list[str]:
    """Settings as lines of nix.conf; what is None is left to the host."""
    return [f"{name} = {_value(name, value)}" for name, value in settings.items() if value is not None]


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if "\n" in text or not name or any(character in name for character in " =\n"):
        raise NixError(f"Nix setting {name!r}: a name is one word and a value one line.")
    return text
