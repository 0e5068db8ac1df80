# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures that iPXE's imgverify reads: CMS, detached, by RSA with SHA-256 and without signed attributes.

iPXE passes over signed attributes and verifies the signature over the content itself (its crypto/cms.c). So nothing but the
content's digest is signed, and an image of a gigabyte need not come to the host that has the key. OpenSSL holds the key and
signs; the rest of the message is put together here, because OpenSSL 3.0 makes no such message of a digest alone.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

from .errors import NetbootError
from .names import DIGEST
from .x509 import OCTET_STRING, SEQUENCE, Certificate, elements, parse_certificate, read_certificates, rsa_numbers

SET, EXPLICIT_0, IMPLICIT_0 = 0x31, 0xA0, 0xA0
VERSION_1 = bytes.fromhex("020101")
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")
SHA256 = bytes.fromhex("300b0609608648016503040201")
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
# What OpenSSL is told about the digest that it signs.
FORM = ("-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_padding_mode:pkcs1")
OPENSSL_SECONDS = 60


class Signer(NamedTuple):
    """Who signs. The chain's first certificate is that of the key; iPXE needs the others, with the root."""

    certificate: str
    key: str
    passphrase_file: str | None = None
    openssl: str = "openssl"


def sign_digests(signer: Signer, digests: Mapping[str, str], now: float | None = None) -> dict[str, str]:
    """Name -> signature in base64, for each digest in hexadecimal digits."""
    chain = _read_chain(signer)
    _check_signer(chain, signer.certificate, time.time() if now is None else now)
    signatures = {}
    for name, digest in digests.items():
        if not DIGEST.fullmatch(digest):
            raise NetbootError(f"digests: that of {name} is not 64 lower-case hexadecimal digits.")
        signature = _sign(signer, bytes.fromhex(digest))
        signatures[name] = base64.b64encode(message(chain, signature)).decode("ascii")
    return signatures


def message(chain: list[Certificate], signature: bytes) -> bytes:
    """The message with one signer (RFC 5652, sections 5.1 to 5.4)."""
    own = chain[0]
    issuer_and_serial = _value(SEQUENCE, own.issuer + own.serial)
    signer_info = _value(
        SEQUENCE, VERSION_1 + issuer_and_serial + SHA256 + RSA_ENCRYPTION + _value(OCTET_STRING, signature)
    )
    signed = VERSION_1 + _value(SET, SHA256) + _value(SEQUENCE, DATA)
    signed += _value(IMPLICIT_0, b"".join(sorted(certificate.der for certificate in chain)))
    signed += _value(SET, signer_info)
    return _value(SEQUENCE, SIGNED_DATA + _value(EXPLICIT_0, _value(SEQUENCE, signed)))


def signed_until(encoded: bytes, origin: str) -> float:
    """When the first certificate in a signature expires. From then on no iPXE accepts it."""
    return min(certificate.not_after for certificate in _parse(encoded, origin).certificates)


def check_message(encoded: bytes, digest: str, origin: str) -> None:
    """Refuse a signature that is not one of this digest. Whether its signer is trusted is for iPXE to say."""
    parsed = _parse(encoded, origin)
    own = next((one for one in parsed.certificates if one.issuer + one.serial == parsed.signer), None)
    if own is None or own.key_type != "RSA":
        raise NetbootError(f"{origin} holds no certificate with an RSA key of its signer.")
    if not _is_signed_by(own, parsed.signature, DIGEST_INFO + bytes.fromhex(digest)):
        raise NetbootError(f"{origin} is not a signature of what it lies beside, by {own.name}.")


def _is_signed_by(own: Certificate, signature: bytes, info: bytes) -> bool:
    """RFC 8017, section 8.2.2: the padded digest is what comes out."""
    try:
        modulus, exponent = rsa_numbers(own)
        length = (modulus.bit_length() + 7) // 8
        found = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(length, "big")
    except (ValueError, IndexError, StopIteration):  # a key that is none
        return False
    return found == b"\0\1" + b"\xff" * (length - len(info) - 3) + b"\0" + info


class Parsed(NamedTuple):
    """What a message holds: its signer by encoded issuer and serial number."""

    certificates: list[Certificate]
    signer: bytes
    signature: bytes


def _parse(encoded: bytes, origin: str) -> Parsed:
    try:
        (_kind, content) = elements(next(elements(encoded)).content)
        signed = list(elements(next(elements(content.content)).content))
        certificates = next(part for part in signed if part.tag == IMPLICIT_0)
        (signer_info,) = elements(signed[-1].content)
        _version, signer, *_algorithms, signature = elements(signer_info.content)
        own = [parse_certificate(one.encoded) for one in elements(certificates.content)]
        return Parsed(own, signer.content, signature.content)
    except (ValueError, IndexError, StopIteration) as error:
        raise NetbootError(f"{origin} is no signature that can be read: {error or 'it is cut off'}.") from error


def _value(tag: int, content: bytes) -> bytes:
    """One value of DER."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _read_chain(signer: Signer) -> list[Certificate]:
    try:
        with open(signer.certificate, "rb") as stream:
            return read_certificates(stream.read(), signer.certificate)
    except OSError as error:
        raise NetbootError(f"certificate: cannot read {signer.certificate}: {error.strerror}.") from error


def _check_signer(chain: list[Certificate], path: str, now: float) -> None:
    """What iPXE would refuse when a machine boots is refused here."""
    own = chain[0]
    problem = None
    if own.key_type != "RSA":
        problem = f"has an {own.key_type} key; only RSA is known to every iPXE that verifies signatures"
    elif not own.may_sign_code:
        problem = "is not for code signing (extendedKeyUsage=codeSigning)"
    elif not own.may_sign:
        problem = "is not for signatures (keyUsage=digitalSignature), which iPXE asks for beside code signing"
    problems = [(own, problem)] if problem else [(one, words) for one in chain for words in _time_problem(one, now)]
    if problems:
        refused, told = problems[0]
        raise NetbootError(f"certificate: {refused.name} in {path} {told}. Nothing was signed.")


def _time_problem(one: Certificate, now: float) -> list[str]:
    if one.not_after <= now:
        return [f"has expired on {stamp(one.not_after)}"]
    return [f"is not valid before {stamp(one.not_before)}"] if one.not_before > now else []


def _sign(signer: Signer, digest: bytes) -> bytes:
    """The signature, which is seen to be that of the certificate: a key of another one would stop every machine."""
    passphrase = () if signer.passphrase_file is None else ("-passin", f"file:{signer.passphrase_file}")
    signature = _openssl(signer, ("-sign", "-inkey", signer.key, *passphrase, *FORM), digest, "key: cannot sign with")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "signature")
        with open(path, "wb") as stream:
            stream.write(signature)
        arguments = ("-verify", "-certin", "-inkey", signer.certificate, "-sigfile", path, *FORM)
        _openssl(signer, arguments, digest, f"the first certificate in {signer.certificate} is not that of the key")
    return signature


def _openssl(signer: Signer, arguments: Iterable[str], text: bytes, what: str) -> bytes:
    command = [signer.openssl, "pkeyutl", *arguments]
    try:
        # In a session of its own it has no terminal, on which it would ask for a passphrase and wait for ever.
        # Plain Python: it knows no module whose run_command it could call.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            command, input=text, capture_output=True, check=False, start_new_session=True, timeout=OPENSSL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NetbootError(
            f"openssl: {signer.openssl} did not end within {OPENSSL_SECONDS:g} s with the key {signer.key}. A key with a "
            "passphrase needs passphrase_file. Nothing was signed."
        ) from error
    except OSError as error:
        raise NetbootError(
            f"openssl: cannot run {signer.openssl}: {error.strerror}. Install openssl on the host with the key."
        ) from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = words[0] if words else "openssl gave no reason"
        if signer.passphrase_file is None and "pass phrase" in reason:
            reason = "it has a passphrase, which is to be the first line of a file that passphrase_file names"
        raise NetbootError(f"{what} {signer.key}: {reason}. Nothing was signed.")
    return done.stdout
