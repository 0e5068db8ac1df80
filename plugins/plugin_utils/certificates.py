# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for one transfer: made on the controller, known to the two sides alone, of no use afterwards."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from ansible.errors import AnsibleActionFail

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError as missing:
    # ansible-core depends on it, so only a damaged installation is without.
    CRYPTOGRAPHY_MISSING: ImportError | None = missing
else:
    CRYPTOGRAPHY_MISSING = None


class KeyPair(NamedTuple):
    """A certificate and its key, as PEM text."""

    certificate: str
    private_key: str


def make_key_pair(name: str, hours: float) -> KeyPair:
    """A self-signed certificate, valid from a day before, because the clocks of two hosts differ."""
    if CRYPTOGRAPHY_MISSING:
        raise AnsibleActionFail(
            f"artifact_stream needs cryptography in the controller's Python, as ansible-core does: {CRYPTOGRAPHY_MISSING}"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1, hours=hours))
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii"),
    )
