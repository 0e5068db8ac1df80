# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS 1.3 between two processes that know each other's certificate and trust nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator

from .errors import PeerGoneError, RefusedError


@dataclasses.dataclass(frozen=True)
class Identity:
    """What one side is given for one transfer: its own certificate and key, and the peer's certificate."""

    certificate: str
    private_key: str = dataclasses.field(repr=False)
    peer_certificate: str


def context(identity: Identity, server: bool) -> ssl.SSLContext:
    """The one way in which either side speaks."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # the certificate itself is pinned; names say nothing here
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=identity.peer_certificate)
    with _as_file(identity.certificate + "\n" + identity.private_key) as path:
        made.load_cert_chain(path)
    if server:
        made.num_tickets = 0
    return made


def secure(raw: socket.socket, tls: ssl.SSLContext, identity: Identity, server: bool) -> ssl.SSLSocket:
    """Shake hands. What does not show the pinned certificate is refused; the socket's timeout holds."""
    try:
        secured = tls.wrap_socket(raw, server_side=server)
    except socket.timeout as problem:
        raise RefusedError("no TLS handshake in time") from problem
    except ssl.SSLError as problem:
        raise RefusedError(f"TLS handshake failed ({problem.reason or problem})") from problem
    except OSError as problem:
        raise PeerGoneError(f"the connection broke during the TLS handshake ({problem})") from problem
    if secured.getpeercert(binary_form=True) != ssl.PEM_cert_to_DER_cert(identity.peer_certificate):
        secured.close()
        raise RefusedError("another certificate than the peer's")
    return secured


def describe(secured: ssl.SSLSocket) -> dict[str, str]:
    """Protocol version and cipher of a connection."""
    cipher = secured.cipher()
    return {"version": secured.version() or "", "cipher": cipher[0] if cipher else ""}


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path for OpenSSL, which reads keys from files only: one in memory where the system has such a thing."""
    content = text.encode("ascii")
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("stream", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{descriptor}"
        temporary = ""
    else:
        descriptor, temporary = tempfile.mkstemp(prefix="stream-")  # mode 0600
        path = temporary
    try:
        os.write(descriptor, content)
        yield path
    finally:
        os.close(descriptor)
        if temporary:
            os.unlink(temporary)
