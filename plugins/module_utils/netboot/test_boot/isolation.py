# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network in which there is nothing but this process and what it starts."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def enter() -> None:
    """Move this process to a new network namespace. There is no way back, so it suits a process that ends soon."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(CLONE_NEWNET) != 0:
        raise NetbootError(
            f"isolated: cannot make a network of its own for the machine: {os.strerror(ctypes.get_errno())}. Run it as root "
            "(become), or say isolated: false and let the machine reach what this host reaches."
        )
    _loopback_up()


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
