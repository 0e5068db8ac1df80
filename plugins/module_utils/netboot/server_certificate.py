# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate of a web server: where an ACME client keeps it, and whether machines that boot with iPXE will accept it.

iPXE takes the certificates as the server sends them: the server's own first, each followed by the one that signed it. What
it cannot know is told as a problem before nginx is given the files: a wrong order, a certificate that has expired (an iPXE
before February 2024 gives up on an expired cross-signature that browsers pass over), a name that is missing, and a key
that is not RSA (no iPXE before version 2.0 takes ECDSA).
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

from .errors import NetbootError
from .x509 import Certificate, read_certificates

# certbot and dehydrated; NixOS's security.acme; acme.sh (with its key named after the domain); lego (both are).
CHAINS = ("fullchain.pem", "fullchain.cer")
KEYS = ("privkey.pem", "key.pem")
ANSWER_SECONDS = 5


class Files(NamedTuple):
    """Where certificate chain and key are."""

    certificate: str
    key: str


class Demands(NamedTuple):
    """What is asked of a certificate."""

    names: tuple[str, ...] = ()
    minimum_days: float = 0
    allow_ecdsa: bool = False


def find_files(directory: str, name: str | None = None) -> Files:
    """The files that an ACME client keeps in this directory; name tells one of several."""
    try:
        present = sorted(os.listdir(directory))
    except OSError as error:
        raise NetbootError(
            f"acme_directory: cannot look into {directory}: {error.strerror}. Name the directory of one certificate, "
            "such as /etc/letsencrypt/live/NAME, and run as a user who may read it (become)."
        ) from error
    pairs = [Files(*pair) for pair in _pairs(present) if name is None or _stem(pair[0]) in (name, "fullchain")]
    if len(pairs) == 1:
        return Files(*(os.path.join(directory, file) for file in pairs[0]))
    found = ", ".join(f"{pair.certificate} with {pair.key}" for pair in pairs) or "no pair of chain and key"
    raise NetbootError(
        f"acme_directory: {directory} holds {found}; one is needed: fullchain.pem with privkey.pem or key.pem (certbot, "
        "dehydrated, NixOS), fullchain.cer with NAME.key (acme.sh), or NAME.crt with NAME.key (lego). Of several, name one."
    )


def first_expiry(path: str, name: str | None = None) -> float:
    """When the first certificate of a chain expires; the path is that of the file, or an ACME client's directory."""
    file = find_files(path, name).certificate if os.path.isdir(path) else path
    return min(certificate.not_after for certificate in read_certificates(_read(file, "certificate"), file))


def _pairs(present: list[str]) -> Iterable[tuple[str, str]]:
    chain = next((name for name in CHAINS if name in present), None)
    keys = [name for name in present if name in KEYS or name.endswith(".key")]
    if chain is not None:
        return [(chain, key) for key in keys]
    return [(f"{_stem(key)}.crt", key) for key in keys if f"{_stem(key)}.crt" in present]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def inspect_certificate(files: Files, demands: Demands, now: float | None = None) -> dict[str, Any]:
    """What the certificate is, and what is wrong with it."""
    now = time.time() if now is None else now
    chain = read_certificates(_read(files.certificate, "certificate"), files.certificate)
    own = chain[0]
    return {
        "certificate": files.certificate,
        "key": files.key,
        "subject": own.name,
        "names": list(own.names),
        "key_type": own.key_type,
        "not_after": stamp(own.not_after),
        "days_left": int((own.not_after - now) // 86400),
        "chain": [certificate.name for certificate in chain],
        "problems": [
            *_order_problems(chain),
            *_key_problems(files, chain),
            *_own_problems(own, demands, now),
            *_time_problems(chain, now),
        ],
    }


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise NetbootError(
            f"{what}: cannot read {path}: {error.strerror}. It is read as the user who runs nginx's master."
        ) from error


def _order_problems(chain: list[Certificate]) -> list[str]:
    if chain[0].is_authority and any(not certificate.is_authority for certificate in chain):
        return [
            (
                f"the chain is in the wrong order: it begins with the authority {chain[0].name}. The server's own certificate comes "
                "first, then the one that signed it, and so on"
            )
        ]
    for one, following in zip(chain, chain[1:]):
        if one.issuer != following.subject:
            return [
                f"the chain is in the wrong order or holds one too many: {following.name} follows {one.name} and did not sign it"
            ]
    if len(chain) == 1 and chain[0].issuer != chain[0].subject:
        return [
            (
                f"the chain holds only {chain[0].name}: iPXE needs the certificates between it and the root too. Give the file "
                "with the full chain (fullchain.pem)"
            )
        ]
    return []


def _key_problems(files: Files, chain: list[Certificate]) -> list[str]:
    _read(files.key, "key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.certificate, files.key, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [
                f"the key {files.key} is not that of the first certificate in {files.certificate} ({chain[0].name})"
            ]
        return [f"the key {files.key} or its certificate cannot be used: {error.reason or error}"]
    except _EncryptedKeyError:
        return [f"the key {files.key} has a password, which nginx cannot ask for when it starts by itself"]
    return []


class _EncryptedKeyError(Exception):
    """The key's password was asked for."""


def _no_password() -> str:
    raise _EncryptedKeyError


def _own_problems(own: Certificate, demands: Demands, now: float) -> list[str]:
    problems = []
    if own.key_type != "RSA" and not (demands.allow_ecdsa and own.key_type == "ECDSA"):
        problems.append(
            f"the key of {own.name} is {own.key_type}: no iPXE before version 2.0 (December 2025) takes it. Have the certificate issued "
            "with an RSA key (certbot --key-type rsa, lego --key-type rsa2048, acme.sh --keylength 2048), or allow ECDSA where "
            "all machines have a newer iPXE"
        )
    missing = [name for name in demands.names if not any(_covers(pattern, name) for pattern in own.names)]
    if missing:
        told = ", ".join(own.names) or "no name"
        problems.append(f"the certificate is for {told} and not for {', '.join(missing)}, as base_url has it")
    left = own.not_after - now
    if 0 < left < demands.minimum_days * 86400:
        problems.append(f"{own.name} expires on {stamp(own.not_after)}, in less than {demands.minimum_days:g} days")
    return problems


def _time_problems(chain: list[Certificate], now: float) -> list[str]:
    expired = [
        f"{certificate.name} has expired on {stamp(certificate.not_after)}"
        for certificate in chain
        if certificate.not_after <= now
    ]
    early = [
        f"{certificate.name} is not valid before {stamp(certificate.not_before)}"
        for certificate in chain
        if certificate.not_before > now
    ]
    return expired + early


def _covers(pattern: str, name: str) -> bool:
    """A wildcard stands for one label."""
    pattern, name = pattern.lower(), name.lower().strip("[]")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:] and not name.startswith(".")
    return pattern == name


def is_served(certificate: str, address: str, server_name: str | None) -> bool | None:
    """Whether the server at address:port shows the first certificate of the file; None when nobody answers with one."""
    host, _colon, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What it shows is compared with the file, so that it need not be one that this host trusts.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=server_name) as encrypted,
        ):
            shown = encrypted.getpeercert(binary_form=True)
    except OSError:
        return None
    return shown == read_certificates(_read(certificate, "certificate"), certificate)[0].der
