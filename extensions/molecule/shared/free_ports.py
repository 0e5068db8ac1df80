# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""free_ports.py FILE...: writes a free port of the loopback to each file, if it can one that the kernel gives to nobody."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

# Scenarios run side by side, and the kernel must not give another one what this one is about to use. Two of them draw the same port seldom.
FIRST = 10000
FIRST_TEMPORARY = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])


def free_port(taken: set[int]) -> int:
    own = range(FIRST, FIRST_TEMPORARY)
    for port in [*random.sample(own, min(200, len(own))), *[0] * 20]:
        try:
            with socket.create_server(("127.0.0.1", port)) as server:
                found = int(server.getsockname()[1])
        except OSError:
            continue
        if found not in taken:
            return found
    raise SystemExit("no free port was found")


def main() -> None:
    taken: set[int] = set()
    for name in sys.argv[1:]:
        taken.add(port := free_port(taken))
        Path(name).write_text(f"{port}\n", encoding="ascii")


if __name__ == "__main__":
    main()
