# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine without a disk that boots from one address and writes its console to a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError

# QEMU's name for the host, seen from the machine.
HOST_ADDRESS = "10.0.2.2"
TAIL_LINES = 40
TRANSLATION_CACHE_MB = 64
# What a terminal takes for a command: colours, positions, iPXE's settings of its screen.
TERMINAL_CODE = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)")
KVM_BROKE_DOWN = "KVM internal error"


class Hardware(NamedTuple):
    """What the machine is made of."""

    program: str
    memory_mb: int
    cores: int
    acceleration: str
    extra_arguments: tuple[str, ...] = ()


class Machine:
    """A running QEMU. It ends itself when what runs in it restarts or switches off, and with the process that started it."""

    def __init__(self, hardware: Hardware, boot_url: str, console: str) -> None:
        self._errors = f"{console}.{os.getpid()}.qemu"
        command = ["setpriv", "--pdeathsig", "KILL", *command_line(hardware, boot_url, console)]
        with open(self._errors, "wb") as errors:
            # Plain Python: it knows no module whose run_command it could call.
            # pylint: disable-next=ansible-bad-function
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def kvm_broke_down(self) -> bool:
        """KVM that another hypervisor emulates may run most instructions, and stop at one of iPXE's; QEMU then waits for ever."""
        return KVM_BROKE_DOWN in self._words()

    def complaint(self) -> str:
        """QEMU's own words."""
        return self._words()[-500:].strip()

    def _words(self) -> str:
        with open(self._errors, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def stop(self) -> None:
        """End it now; there is nothing in it to be kept."""
        self._process.kill()
        self._process.wait()
        os.unlink(self._errors)


def command_line(hardware: Hardware, boot_url: str, console: str) -> list[str]:
    """QEMU's arguments. With graphics=off iPXE writes to the serial console too."""
    return [
        hardware.program,
        *("-name", "nixmetal-test-boot", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-M", "pc,graphics=off", *accelerator(hardware)),
        *("-m", str(hardware.memory_mb), "-smp", str(hardware.cores)),
        *("-netdev", f"user,id=net,bootfile={boot_url}", "-device", "virtio-net-pci,netdev=net", "-boot", "n"),
        *("-device", "virtio-rng-pci", "-chardev", f"file,id=console,path={console.replace(',', ',,')}"),
        *("-serial", "chardev:console"),
        *hardware.extra_arguments,
    ]


def accelerator(hardware: Hardware) -> list[str]:
    """The processor."""
    if hardware.acceleration == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread=multi,tb-size={TRANSLATION_CACHE_MB}", "-cpu", "max"]


def accelerations(hardware: Hardware) -> list[str]:
    """What to try, in this order."""
    if hardware.acceleration != "auto":
        return [hardware.acceleration]
    return ["kvm", "tcg"] if kvm_runs(hardware.program) else ["tcg"]


def kvm_runs(program: str) -> bool:
    """Run a processor for a moment: /dev/kvm may be there, open, and still fail at the first instruction."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = [program, "-accel", "kvm", "-cpu", "host", "-M", "pc,graphics=off", "-m", "16", "-nodefaults"]
    try:
        # Plain Python: it knows no module whose run_command it could call.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            [*command, "-display", "none", "-qmp", "stdio"],
            input=b'{"execute": "qmp_capabilities"}\n{"execute": "query-status"}\n{"execute": "quit"}\n',
            capture_output=True,
            check=False,
            timeout=10,
        )
    except subprocess.TimeoutExpired:
        return False
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return any(answer.get("return", {}).get("status") == "running" for answer in answers)


def tail(path: str) -> list[str]:
    """The last lines of a console, without what only moves a terminal's cursor."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    text = TERMINAL_CODE.sub("", text)
    printable = "".join(char for char in text if char.isprintable() or char == "\n")
    return [line for line in printable.splitlines() if line.strip()][-TAIL_LINES:]


def make_console(path: str) -> None:
    """An empty file for the console; what is there from an earlier boot goes."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise NetbootError(f"console_file: cannot write {path}: {error.strerror}; nothing was booted.") from error
