# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line of so many milliseconds between two network namespaces, for a kernel without netem: two TAP devices and a queue.

relay.py PID ADDRESS/BITS PID ADDRESS/BITS MILLISECONDS: the namespaces are those of the two processes. Ends with its standard
input. Packets keep their order, none is lost, and large ones pass whole (virtio-net headers), so that the relay is no
bottleneck of its own.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import os
import selectors
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04  # checksums, large IPv4 segments, large IPv6 segments
NAME = "slow0"
CLONE_NEWNET = 0x40000000


def open_tap(pid: str, address: str) -> int:
    """A TAP device in the network namespace of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", NAME.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(tap, TUNSETOFFLOAD, OFFLOADS)
        for command in (
            ["ip", "address", "add", address, "dev", NAME],
            ["ip", "link", "set", NAME, "txqueuelen", "20000", "up"],
        ):
            subprocess.run(command, check=True)
        return tap
    finally:
        libc.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(there)


def carry(source: int, target: int, seconds: float) -> None:
    """One direction: what comes in goes out so much later."""
    waiting: collections.deque[tuple[float, bytes]] = collections.deque()
    ready = selectors.DefaultSelector()
    ready.register(source, selectors.EVENT_READ)
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if ready.select(left):
            waiting.append((time.monotonic() + seconds, os.read(source, 70000)))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            os.write(target, waiting.popleft()[1])


def main() -> None:
    first = open_tap(sys.argv[1], sys.argv[2])
    second = open_tap(sys.argv[3], sys.argv[4])
    seconds = float(sys.argv[5]) / 1000
    os.nice(-20)  # it is the cable and no contender: what else the machine does must not slow it down
    for pair in ((first, second), (second, first)):
        threading.Thread(target=carry, args=(*pair, seconds), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
