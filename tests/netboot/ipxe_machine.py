# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines that boot by an iPXE of one's choice, given to QEMU like a kernel.

An unchanged iPXE trusts another root than its own only if the machine says so before any script runs: by the setting `trust`
among the options that are stored on a network card. QEMU's rtl8139 has such a card's EEPROM, but no option to fill it; it is
part of the saved state of a machine, though. So the machine is made, saved before its first instruction, given the option,
and started from that.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

# The words with which QEMU fills the EEPROM: identification, vendor and device.
EEPROM = bytes.fromhex("812910ec8139")
OPTIONS_OFFSET, OPTIONS_LENGTH = 0x40, 0x40
# DHCP option 175 encapsulates iPXE's own; 90 is "trust" (iPXE, include/ipxe/dhcp.h).
ENCAPSULATED, TRUST, END = 175, 90, 255
SERIAL = "file:console.log"


class Machine:
    """A machine in QEMU's own network, in which 10.0.2.2 is the host's loopback device."""

    def __init__(self, directory: Path, ipxe: Path, script: str | None = None, boot_url: str = "") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        bootfile = f",bootfile={boot_url}" if boot_url else ""
        self.command = [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "512"),
            *("-M", "pc,graphics=off", "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max", "-qmp", "stdio"),
            *("-netdev", f"user,id=net{bootfile}", "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "rtl8139,romfile=", "-device", "virtio-rng-pci", "-kernel", str(ipxe)),
        ]
        if script is not None:
            (directory / "script.ipxe").write_text(script)
            self.command += ["-initrd", "script.ipxe"]

    def boot(self, until: str, seconds: float, root: bytes | None = None) -> str:
        """What the console shows until it shows that, or the machine ends, or the time is over. root is the certificate to trust."""
        (self.directory / "console.log").write_bytes(b"")
        more = ["-serial", SERIAL]
        if root is not None:
            self._save_state(root)
            more += ["-incoming", "exec:cat state"]
        process = self._start(more)
        try:
            if root is not None:
                while _ask(process, "query-status")["status"] == "inmigrate":
                    time.sleep(0.05)
                _ask(process, "cont")
            return self._watch(process, until, seconds)
        finally:
            process.kill()
            process.communicate()

    def _watch(self, process: subprocess.Popen[bytes], until: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while True:
            ended = process.poll() is not None
            text = re.sub(
                r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", (self.directory / "console.log").read_text(errors="replace")
            )
            if ended or re.search(until, text) or time.monotonic() > deadline:
                return text
            time.sleep(0.1)

    def _save_state(self, root: bytes) -> None:
        process = self._start(["-serial", "null", "-S"])
        _ask(process, "migrate", uri="exec:cat > state")
        while _ask(process, "query-migrate").get("status") != "completed":
            time.sleep(0.05)
        _ask(process, "quit")
        process.communicate(timeout=20)
        state = self.directory / "state"
        state.write_bytes(_with_trust(state.read_bytes(), hashlib.sha256(root).digest()))

    def _start(self, more: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*self.command, *more], cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        _ask(process, "qmp_capabilities")
        return process


def _ask(process: subprocess.Popen[bytes], command: str, **arguments: str) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if "return" in answer or "error" in answer:
            assert "return" in answer, answer
            return dict(answer["return"])
    raise AssertionError(f"QEMU ended at {command}")


def _with_trust(state: bytes, fingerprint: bytes) -> bytes:
    """The state with the fingerprint in the card's EEPROM, as iPXE stores options there: a checksum, then DHCP options."""
    start = state.index(EEPROM)
    assert state.find(EEPROM, start + 1) == -1
    inner = bytes([TRUST, len(fingerprint)]) + fingerprint
    options = bytes([0, ENCAPSULATED, len(inner)]) + inner + bytes([END])
    block = bytearray(options.ljust(OPTIONS_LENGTH, b"\0"))
    block[0] = -sum(block) % 256
    # Words, the low byte first for iPXE and the high byte first in QEMU's state.
    block[0::2], block[1::2] = block[1::2], block[0::2]
    at = start + OPTIONS_OFFSET
    return state[:at] + bytes(block) + state[at + OPTIONS_LENGTH :]
