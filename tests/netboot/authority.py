# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authority of the tests' own: roots, intermediates, and what they sign."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issued(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, password: bytes | None = None) -> bytes:
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    names: tuple[str, ...] = (),
    authority: bool = False,
    code_signing: bool = False,
    signing: bool = True,
    elliptic: bool = False,
    days: tuple[float, float] = (-1, 30),
) -> Issued:
    """A certificate signed by the issuer, or by itself; days are those from now between which it is valid."""
    key: Key = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_alternative, names))), critical=False)
    if code_signing:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    if code_signing and signing:
        usage = dict.fromkeys(USAGES, False) | {"digital_signature": True}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def write_pair(directory: Path, chain: list[Issued], names: tuple[str, str] = ("fullchain.pem", "privkey.pem")) -> None:
    """The chain in its order, and the key of the first, as an ACME client keeps them."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / names[0]).write_bytes(b"".join(issued.pem for issued in chain))
    (directory / names[1]).write_bytes(chain[0].key_pem())


def read_pair(certificate: Path, key: Path) -> Issued:
    """An authority from files."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, Key)
    return Issued(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)
