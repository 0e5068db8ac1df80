# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates a web server is given, and what is said of those that iPXE would refuse."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from authority import Issued, issue, write_pair
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import server_certificate
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.server_certificate import (
    Demands,
    Files,
    find_files,
    inspect_certificate,
    is_served,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status import Wanted, write_status
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.x509 import (
    elements,
    parse_certificate,
    read_certificates,
)

ROOT = issue("Test Root", authority=True, days=(-1, 900))
MIDDLE = issue("Test R1", ROOT, authority=True, days=(-1, 400))
WEB = issue("web.example.org", MIDDLE, names=("web.example.org", "*.net.example.org", "192.0.2.1", "2001:db8::1"))
DEMANDS = Demands(("web.example.org",), 7)


def told(directory: Path, chain: list[Issued], demands: Demands = DEMANDS, now: float | None = None) -> list[str]:
    write_pair(directory, chain)
    problems = inspect_certificate(find_files(str(directory)), demands, now)["problems"]
    assert isinstance(problems, list)
    return problems


def test_a_good_chain(tmp_path: Path) -> None:
    write_pair(tmp_path, [WEB, MIDDLE])
    what = inspect_certificate(find_files(str(tmp_path)), DEMANDS)
    assert what["problems"] == []
    assert what["names"] == ["web.example.org", "*.net.example.org", "192.0.2.1", "2001:db8::1"]
    assert (what["chain"], what["key_type"], what["days_left"]) == (["web.example.org", "Test R1"], "RSA", 29)
    assert told(tmp_path, [WEB, MIDDLE, ROOT]) == []


@pytest.mark.parametrize("issued", [ROOT, MIDDLE, WEB, issue("elliptic", elliptic=True)])
def test_a_certificate_is_read_as_cryptography_reads_it(issued: Issued) -> None:
    own, theirs = parse_certificate(issued.certificate.public_bytes(Encoding.DER)), issued.certificate
    assert (own.subject, own.issuer) == (theirs.subject.public_bytes(), theirs.issuer.public_bytes())
    assert own.not_after == theirs.not_valid_after_utc.timestamp()
    assert own.not_before == theirs.not_valid_before_utc.timestamp()
    assert int.from_bytes(own.serial[2:], "big") == theirs.serial_number
    assert own.is_authority == (issued in (ROOT, MIDDLE))


OTHER = issue("other", MIDDLE, names=("web.example.org",))
EXPIRED = issue("Old Root", authority=True, days=(-20, -1))
CROSS = issue("Test Root", EXPIRED, authority=True, days=(-20, -1))
BAD: dict[str, tuple[list[Issued], str]] = {
    "the authority first": ([MIDDLE, WEB], "wrong order: it begins with the authority Test R1"),
    "the root before its intermediate": ([WEB, ROOT, MIDDLE], "Test Root follows web.example.org and did not sign it"),
    "one too many": ([WEB, MIDDLE, EXPIRED], "Old Root follows Test R1"),
    "no intermediate": ([WEB], "holds only web.example.org: iPXE needs"),
    "an expired cross-signature": ([WEB, MIDDLE, CROSS], "Test Root has expired on "),
    "expired": ([issue("web", MIDDLE, names=("web.example.org",), days=(-9, -1)), MIDDLE], "web has expired on "),
    "not valid yet": (
        [issue("web", MIDDLE, names=("web.example.org",), days=(1, 9)), MIDDLE],
        "web is not valid before",
    ),
    "nearly expired": ([issue("web", MIDDLE, names=("web.example.org",), days=(-9, 2)), MIDDLE], "in less than 7 days"),
    "another name": (
        [issue("x", MIDDLE, names=("x.example.org",)), MIDDLE],
        "x.example.org and not for web.example.org",
    ),
    "an elliptic key": (
        [issue("web", MIDDLE, names=("web.example.org",), elliptic=True), MIDDLE],
        "the key of web is ECDSA: no iPXE before version 2.0",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_would_keep_machines_from_booting(tmp_path: Path, what: str) -> None:
    chain, words = BAD[what]
    problems = told(tmp_path, chain)
    assert any(words in problem for problem in problems), problems


def test_an_elliptic_key_where_it_is_allowed(tmp_path: Path) -> None:
    web = issue("web", MIDDLE, names=("web.example.org",), elliptic=True)
    assert told(tmp_path, [web, MIDDLE], Demands(("web.example.org",), 7, allow_ecdsa=True)) == []


def test_the_key_of_another_certificate(tmp_path: Path) -> None:
    write_pair(tmp_path, [WEB, MIDDLE])
    (tmp_path / "privkey.pem").write_bytes(OTHER.key_pem())
    problems = inspect_certificate(find_files(str(tmp_path)), DEMANDS)["problems"]
    assert problems == [
        f"the key {tmp_path}/privkey.pem is not that of the first certificate in {tmp_path}/fullchain.pem (web.example.org)"
    ]


def test_a_key_that_nginx_could_not_use(tmp_path: Path) -> None:
    write_pair(tmp_path, [WEB, MIDDLE])
    (tmp_path / "privkey.pem").write_bytes(WEB.key_pem(b"secret"))
    assert "has a password" in inspect_certificate(find_files(str(tmp_path)), DEMANDS)["problems"][0]
    (tmp_path / "privkey.pem").write_text("nothing")
    assert "cannot be used" in inspect_certificate(find_files(str(tmp_path)), DEMANDS)["problems"][0]


def test_pairs_among_which_one_must_be_named_are_told_apart(tmp_path: Path) -> None:
    for file in ("fullchain.pem", "privkey.pem", "key.pem"):
        (tmp_path / file).touch()
    with pytest.raises(NetbootError, match=r"holds fullchain\.pem with ") as told:
        find_files(str(tmp_path))
    assert all(f"fullchain.pem with {key}" in str(told.value) for key in ("privkey.pem", "key.pem"))


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("a.net.example.org", True),
        ("A.NET.example.org", True),
        ("192.0.2.1", True),
        ("[2001:db8::1]", True),
        ("a.b.net.example.org", False),
        ("net.example.org", False),
        ("example.org", False),
    ],
)
def test_names(tmp_path: Path, name: str, covered: bool) -> None:
    assert (told(tmp_path, [WEB, MIDDLE], Demands((name,))) == []) is covered


LAYOUTS = {
    "certbot, dehydrated": ("fullchain.pem", "privkey.pem", None),
    "NixOS": ("fullchain.pem", "key.pem", None),
    "acme.sh": ("fullchain.cer", "web.example.org.key", None),
    "lego, alone": ("web.example.org.crt", "web.example.org.key", None),
    "lego, one of two": ("web.example.org.crt", "web.example.org.key", "web.example.org"),
}


@pytest.mark.parametrize("client", LAYOUTS)
def test_where_acme_clients_keep_them(tmp_path: Path, client: str) -> None:
    certificate, key, name = LAYOUTS[client]
    write_pair(tmp_path, [WEB, MIDDLE], (certificate, key))
    for beside in ("ca.cer", "cert.pem", "chain.pem", "web.example.org.issuer.crt", "web.example.org.json", "README"):
        (tmp_path / beside).touch()
    if name:
        write_pair(tmp_path, [OTHER, MIDDLE], ("other.crt", "other.key"))
        with pytest.raises(NetbootError, match=r"holds other\.crt with other\.key, web\.example\.org\.crt with web"):
            find_files(str(tmp_path))
    assert find_files(str(tmp_path), name) == Files(str(tmp_path / certificate), str(tmp_path / key))


def test_directories_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match=r"cannot look into .*none: No such file"):
        find_files(str(tmp_path / "none"))
    with pytest.raises(NetbootError, match="holds no pair of chain and key"):
        find_files(str(tmp_path))
    write_pair(tmp_path, [WEB, MIDDLE])
    (tmp_path / "fullchain.pem").write_text("no certificate")
    with pytest.raises(NetbootError, match=r"fullchain\.pem holds no certificate in PEM form"):
        inspect_certificate(find_files(str(tmp_path)), DEMANDS)
    half = WEB.pem.splitlines(keepends=True)
    (tmp_path / "fullchain.pem").write_bytes(b"".join(half[:5] + half[-1:]))
    with pytest.raises(NetbootError, match="holds a certificate that cannot be read"):
        inspect_certificate(find_files(str(tmp_path)), DEMANDS)


def test_a_certificate_whose_extensions_are_cut_off_is_told(tmp_path: Path) -> None:
    (whole,) = elements(WEB.certificate.public_bytes(Encoding.DER))
    signed, *rest = elements(whole.content)
    fields = [field.encoded for field in elements(signed.content) if field.tag != 0xA3]
    der = _sequence(_sequence(b"".join(fields) + b"\xa3\x00") + b"".join(element.encoded for element in rest))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(NetbootError, match="it holds a certificate that cannot be read: it is cut off"):
        read_certificates(pem, "it")
    certificate = tmp_path / "chain.pem"
    certificate.write_bytes(pem)
    metrics = write_status(Wanted(str(tmp_path), certificate=str(certificate)), dry_run=True).metrics
    assert f'certificate_not_after_timestamp_seconds{{file="{certificate}"}} 0\n' in metrics


def _sequence(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def test_whether_the_server_shows_it_already(tmp_path: Path) -> None:
    write_pair(tmp_path / "old", [WEB, MIDDLE])
    write_pair(tmp_path / "new", [OTHER, MIDDLE])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "old" / "fullchain.pem", tmp_path / "old" / "privkey.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=_shake_hands, args=(listener, context, 2), daemon=True)
        thread.start()
        assert is_served(str(tmp_path / "old" / "fullchain.pem"), address, "web.example.org") is True
        assert is_served(str(tmp_path / "new" / "fullchain.pem"), address, None) is False
        thread.join(10)
    assert is_served(str(tmp_path / "new" / "fullchain.pem"), address, None) is None


def _shake_hands(listener: socket.socket, context: ssl.SSLContext, times: int) -> None:
    for _number in range(times):
        connection, _address = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path, [WEB, MIDDLE])
    monkeypatch.setattr(server_certificate, "ANSWER_SECONDS", 0.1)
    real, patience = socket.create_connection, []

    def connect(*arguments: Any, **more: Any) -> socket.socket:
        made = real(*arguments, **more)
        patience.append(made.gettimeout())
        made.settimeout(0.1)
        return made

    monkeypatch.setattr(socket, "create_connection", connect)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert is_served(str(tmp_path / "fullchain.pem"), address, None) is None
    assert patience == [0.1]
