# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of DER and X.509 as tells what a certificate says of itself, for hosts that have Python's standard library alone.

Signatures are not verified: that is for whoever is shown the certificate.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from .errors import NetbootError

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
UTC_TIME = 0x17
KEY_TYPES = {bytes.fromhex("2a864886f70d010101"): "RSA", bytes.fromhex("2a8648ce3d0201"): "ECDSA"}
KEY_USAGE = bytes.fromhex("551d0f")
DIGITAL_SIGNATURE = 0x80
ALTERNATIVE_NAMES, BASIC_CONSTRAINTS, EXTENDED_USAGE = (bytes.fromhex(text) for text in ("551d11", "551d13", "551d25"))
COMMON_NAME = bytes.fromhex("550403")
CODE_SIGNING = bytes.fromhex("2b06010505070303")


class Certificate(NamedTuple):
    """What a certificate says of itself. Subject and issuer are the encoded names, serial and public key encoded too."""

    der: bytes
    serial: bytes
    subject: bytes
    issuer: bytes
    not_before: float
    not_after: float
    key_type: str
    public_key: bytes
    names: tuple[str, ...]
    is_authority: bool
    may_sign: bool
    may_sign_code: bool
    # The common name, or else all of the subject in hexadecimal digits.
    name: str


class Element(NamedTuple):
    """One value of DER: its tag, its content, and itself as encoded."""

    tag: int
    content: bytes
    encoded: bytes


def read_certificates(text: bytes, origin: str) -> list[Certificate]:
    """The certificates of a PEM file, in their order."""
    try:
        found = [
            parse_certificate(base64.b64decode(b"".join(match[1].split()), validate=True))
            for match in PEM.finditer(text)
        ]
    except (binascii.Error, ValueError, IndexError, KeyError, StopIteration) as error:
        raise NetbootError(f"{origin} holds a certificate that cannot be read: {error or 'it is cut off'}") from error
    if not found:
        raise NetbootError(f"{origin} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).")
    return found


def parse_certificate(der: bytes) -> Certificate:
    """A certificate from its DER encoding."""
    (whole,) = elements(der)
    signed = next(elements(whole.content))
    fields = list(elements(signed.content))
    # The version is optional; the serial number is the first integer.
    start = 1 if fields[0].tag == 0xA0 else 0
    serial, _algorithm, issuer, validity, subject, key = fields[start : start + 6]
    not_before, not_after = (_time(element) for element in elements(validity.content))
    extensions = dict(_extensions(fields[start + 6 :]))
    return Certificate(
        der,
        serial.encoded,
        subject.encoded,
        issuer.encoded,
        not_before,
        not_after,
        _key_type(key),
        list(elements(key.content))[1].content[1:],
        tuple(_alternative_names(extensions.get(ALTERNATIVE_NAMES, b"\x30\x00"))),
        _is_authority(extensions.get(BASIC_CONSTRAINTS, b"\x30\x00")),
        _may_sign(extensions.get(KEY_USAGE, b"\x03\x01\x00")),
        CODE_SIGNING in [usage.content for usage in _inside(extensions.get(EXTENDED_USAGE, b"\x30\x00"))],
        _common_name(subject.encoded) or subject.encoded.hex(),
    )


def rsa_numbers(certificate: Certificate) -> tuple[int, int]:
    """Modulus and exponent of an RSA key."""
    modulus, exponent = _inside(certificate.public_key)
    return int.from_bytes(modulus.content, "big"), int.from_bytes(exponent.content, "big")


def elements(data: bytes) -> Iterator[Element]:
    """The values that stand one after the other in data."""
    position = 0
    while position < len(data):
        tag, length, begin = data[position], data[position + 1], position + 2
        if length >= 0x80:
            size = length & 0x7F
            length, begin = int.from_bytes(data[begin : begin + size], "big"), begin + size
        end = begin + length
        if end > len(data):
            raise ValueError("it is cut off")
        yield Element(tag, data[begin:end], data[position:end])
        position = end


def _inside(encoded: bytes) -> list[Element]:
    """The values within one that is a sequence."""
    # A StopIteration would leave a generator as a RuntimeError, which nobody expects.
    sequence = next(elements(encoded), None)
    if sequence is None:
        raise ValueError("it is cut off")
    return list(elements(sequence.content))


def _extensions(fields: list[Element]) -> Iterator[tuple[bytes, bytes]]:
    for field in fields:
        if field.tag == 0xA3:
            for extension in _inside(field.content):
                parts = list(elements(extension.content))
                yield parts[0].content, parts[-1].content


def _key_type(key: Element) -> str:
    algorithm = _inside(next(elements(key.content)).encoded)[0]
    return KEY_TYPES.get(algorithm.content, algorithm.content.hex())


def _time(element: Element) -> float:
    """UTCTime has two digits for the year, from 1950 on; GeneralizedTime four."""
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _alternative_names(encoded: bytes) -> Iterator[str]:
    for name in _inside(encoded):
        if name.tag == 0x82:
            yield name.content.decode("ascii", "replace")
        elif name.tag == 0x87:
            family = socket.AF_INET if len(name.content) == 4 else socket.AF_INET6
            yield socket.inet_ntop(family, name.content)


def _may_sign(encoded: bytes) -> bool:
    """A bit string: how many bits of the last byte do not count, then the bits, digitalSignature first."""
    bits = next(elements(encoded)).content[1:]
    return bool(bits) and bool(bits[0] & DIGITAL_SIGNATURE)


def _is_authority(encoded: bytes) -> bool:
    parts = _inside(encoded)
    return bool(parts) and parts[0].tag == 0x01 and parts[0].content != b"\x00"


def _common_name(subject: bytes) -> str | None:
    for group in _inside(subject):
        for pair in elements(group.content):
            kind, value = elements(pair.content)
            if kind.content == COMMON_NAME:
                return value.content.decode("utf-8", "replace")
    return None
