# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for QEMU on a machine whose KVM starts and then breaks down: only the protocol, no processor.

Seen with KVM that another hypervisor emulates: the first trial ran, and iPXE met an instruction that it did not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TextIO


def answer(status: str, commands: TextIO, answers: TextIO) -> None:
    print('{"QMP": {}}', file=answers, flush=True)
    for line in commands:
        asked = json.loads(line)["execute"]
        print(json.dumps({"return": {"status": status} if asked == "query-status" else {}}), file=answers, flush=True)


def serve(status: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        if os.path.exists("qmp.sock"):
            os.unlink("qmp.sock")
        listener.bind("qmp.sock")
        listener.listen()
        while True:
            connection, _address = listener.accept()
            with connection, connection.makefile("r") as commands, connection.makefile("w") as answers:
                answer(status, commands, answers)


on_kvm = "kvm" in sys.argv
if "stdio" in sys.argv:
    answer("running", sys.stdin, sys.stdout)
else:
    serve("internal-error" if on_kvm else "running")
