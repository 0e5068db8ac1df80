# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures for iPXE's imgverify, and releases that carry them. OpenSSL is the judge of the messages here."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from authority import Issued, issue

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import cms
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.cms import Signer, check_message, sign_digests
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import image_of, older, staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status import Wanted, write_status
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Publication, Writer, switch
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify

if TYPE_CHECKING:
    from .conftest import Store

ROOT = issue("Code Root", authority=True)
SIGNING = issue("netboot code", ROOT, code_signing=True)
SIGNED = Settings("lab", "https://web", "relative", (), signed=True)

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here")


def signer(directory: Path, own: Issued = SIGNING, key: Issued | None = None, password: bytes | None = None) -> Signer:
    directory.mkdir(exist_ok=True)
    (directory / "chain.pem").write_bytes(own.pem + ROOT.pem)
    (directory / "key.pem").write_bytes((key or own).key_pem(password))
    return Signer(str(directory / "chain.pem"), str(directory / "key.pem"))


def accepted(directory: Path, content: bytes, signature: str) -> subprocess.CompletedProcess[bytes]:
    """What OpenSSL says of content and signature."""
    for name, text in (("content", content), ("signature", base64.b64decode(signature)), ("root.pem", ROOT.pem)):
        (directory / name).write_bytes(text)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"]
    command += ["-CAfile", "root.pem", "-purpose", "any", "-out", "/dev/null"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False)


@pytest.mark.parametrize("content", [b"", b"a kernel", bytes(1 << 20)])
def test_openssl_accepts_the_signature_and_no_other_content(tmp_path: Path, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    made = sign_digests(signer(tmp_path / "key"), {"kernel": digest})
    assert accepted(tmp_path, content, made["kernel"]).returncode == 0, accepted(
        tmp_path, content, made["kernel"]
    ).stderr
    assert accepted(tmp_path, content + b"x", made["kernel"]).returncode != 0
    assert sign_digests(signer(tmp_path / "key"), {"kernel": digest}) == made


def test_the_message_is_what_openssl_itself_makes_of_the_whole_content(tmp_path: Path) -> None:
    own = signer(tmp_path)
    (tmp_path / "content").write_bytes(b"a kernel")
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    command = ["openssl", "cms", "-sign", "-binary", "-noattr", "-md", "sha256", "-in", "content", "-outform", "DER"]
    command += ["-signer", own.certificate, "-inkey", own.key, "-certfile", "root.pem"]
    theirs = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    ours = base64.b64decode(sign_digests(own, {"kernel": hashlib.sha256(b"a kernel").hexdigest()})["kernel"])
    assert ours == theirs


def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    locked = signer(tmp_path / "key", password=b"secret words")
    (tmp_path / "words").write_text("secret words\n")
    digest = {"kernel": hashlib.sha256(b"a").hexdigest()}
    with pytest.raises(
        NetbootError, match="it has a passphrase, which is to be the first line of a file that passphrase_file"
    ):
        sign_digests(locked, digest)
    made = sign_digests(locked._replace(passphrase_file=str(tmp_path / "words")), digest)
    assert accepted(tmp_path, b"a", made["kernel"]).returncode == 0
    (tmp_path / "words").write_text("other words\n")
    with pytest.raises(NetbootError, match="key: cannot sign with") as refused:
        sign_digests(locked._replace(passphrase_file=str(tmp_path / "words")), digest)
    assert "words" not in str(refused.value)


def test_openssl_has_no_terminal_to_ask_on_and_no_time_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "openssl"
    asks = "import os, sys\nsys.exit('alone' if os.getsid(0) == os.getpid() else 'with a terminal')\n"
    program.write_text(f"#!{sys.executable}\n{asks}")
    program.chmod(0o755)
    own = signer(tmp_path / "key")._replace(openssl=str(program))
    with pytest.raises(NetbootError, match=r"key: cannot sign with .*: alone\. Nothing was signed"):
        sign_digests(own, {"kernel": "0" * 64})
    program.write_text("#!/bin/sh\nexec sleep 5\n")
    monkeypatch.setattr(cms, "OPENSSL_SECONDS", 0.2)
    with pytest.raises(NetbootError, match=r"did not end within 0\.2 s with the key .* needs passphrase_file"):
        sign_digests(own, {"kernel": "0" * 64})
    locked = signer(tmp_path / "locked", password=b"secret words")
    monkeypatch.setattr(cms, "OPENSSL_SECONDS", 30)
    with pytest.raises(NetbootError, match=r"key: cannot sign with"):
        sign_digests(locked, {"kernel": "0" * 64})


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (issue("web", ROOT), "web in .* is not for code signing"),
        (issue("code", ROOT, code_signing=True, signing=False), "code in .* is not for signatures"),
        (issue("code", ROOT, code_signing=True, elliptic=True), "code in .* has an ECDSA key; only RSA"),
        (issue("code", ROOT, code_signing=True, days=(-9, -1)), "code in .* has expired on"),
        (issue("code", ROOT, code_signing=True, days=(1, 9)), "code in .* is not valid before"),
    ],
)
def test_certificates_that_ipxe_would_refuse(tmp_path: Path, own: Issued, words: str) -> None:
    with pytest.raises(NetbootError, match=f"certificate: {words}.*Nothing was signed"):
        sign_digests(signer(tmp_path, own), {"kernel": "0" * 64})


@pytest.mark.parametrize(
    ("days", "words"), [((-9, -1), "Old Root in .* has expired on"), ((1, 9), "Old Root in .* is not valid before")]
)
def test_every_certificate_of_the_chain_has_to_be_valid(tmp_path: Path, days: tuple[int, int], words: str) -> None:
    root = issue("Old Root", authority=True, days=days)
    own = issue("netboot code", root, code_signing=True)
    (tmp_path / "chain.pem").write_bytes(own.pem + root.pem)
    (tmp_path / "key.pem").write_bytes(own.key_pem())
    with pytest.raises(NetbootError, match=f"certificate: {words}.*Nothing was signed"):
        sign_digests(Signer(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")), {"kernel": "0" * 64})


def test_what_else_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match="is not that of the key"):
        sign_digests(signer(tmp_path / "a", key=ROOT), {"kernel": "0" * 64})
    good = signer(tmp_path / "b")
    with pytest.raises(NetbootError, match="digests: that of kernel is not 64"):
        sign_digests(good, {"kernel": "0" * 63})
    with pytest.raises(NetbootError, match="certificate: cannot read"):
        sign_digests(good._replace(certificate="/no/file"), {"kernel": "0" * 64})
    with pytest.raises(NetbootError, match="Install openssl on the host with the key"):
        sign_digests(good._replace(openssl="/no/openssl"), {"kernel": "0" * 64})


def published(store: Store, image_id: str, own: Signer | None, now: float | None = None, **more: Any) -> Publication:
    root = str(store.root)
    if not (store.root / ".state" / "staging" / image_id).exists():
        store.image(image_id)
    choice = image_of(staged_manifest(root, image_id), SIGNED)
    digests = switch(Writer(root, dry_run=True), "lab", choice).to_sign
    signatures = sign_digests(own, digests, now) if own else None
    return switch(Writer(root, False, 1, signed=digests, signatures=signatures, **more), "lab", choice)


def test_a_signed_release_carries_its_signatures(store: Store, tmp_path: Path) -> None:
    own = signer(tmp_path / "key")
    done = published(store, "one", own)
    folder = store.root / "releases" / "lab" / done.release.release_id
    contents = {
        "kernel": b"kernel of one",
        "initrd-00": b"root of one",
        "netboot.ipxe": (folder / "netboot.ipxe").read_bytes(),
    }
    assert set(done.to_sign) == set(contents)
    for name, content in contents.items():
        signature = base64.b64encode((folder / f"{name}.sig").read_bytes()).decode()
        assert accepted(tmp_path, content, signature).returncode == 0
    script = contents["netboot.ipxe"].decode()
    for name in ("kernel", "initrd-00"):
        line = f"imgverify --timeout 60000 {name} ../releases/lab/{done.release.release_id}/{name}.sig || goto failed"
        assert script.count(line) == 1
    assert re.search(r"^imgverify --timeout 60000 netboot.ipxe netboot.ipxe.sig \|\| goto try$", script, re.MULTILINE)
    assert "chain" not in script
    assert published(store, "one", own).changed is False
    assert verify(str(store.root)).problems == []


def test_without_signatures_or_with_those_of_another_release_nothing_is_published(store: Store, tmp_path: Path) -> None:
    own = signer(tmp_path / "key")
    with pytest.raises(
        NetbootError, match=r"signatures: the release .* needs signatures of kernel, initrd-00, netboot\.ipxe"
    ):
        published(store, "one", None)
    root = str(store.root)
    store.image("two")
    first = switch(Writer(root, True), "lab", image_of(staged_manifest(root, "one"), SIGNED)).to_sign
    writer = Writer(root, False, 1, signed=first, signatures=sign_digests(own, first))
    with pytest.raises(NetbootError, match="needs signatures of kernel"):
        switch(writer, "lab", image_of(staged_manifest(root, "two"), SIGNED))
    fewer = {name: text for name, text in sign_digests(own, first).items() if name != "kernel"}
    with pytest.raises(NetbootError, match="needs signatures of kernel"):
        switch(writer._replace(signatures=fewer), "lab", image_of(staged_manifest(root, "one"), SIGNED))
    broken = {**sign_digests(own, first), "kernel": "no!"}
    with pytest.raises(NetbootError, match="that of kernel is not base64"):
        switch(writer._replace(signatures=broken), "lab", image_of(staged_manifest(root, "one"), SIGNED))
    assert not (store.root / "lab").exists()


def test_an_older_signed_release_needs_no_key_and_keeps_its_signatures(store: Store, tmp_path: Path) -> None:
    own = signer(tmp_path / "key")
    first = published(store, "one", own).release.release_id
    published(store, "two", own)
    root = str(store.root)
    assert switch(Writer(root, False, 1), "lab", older(root, "lab", "previous")).release.release_id == first
    (store.root / "releases" / "lab" / first / "kernel.sig").unlink()
    assert re.search(r"is signed, and iPXE would refuse it: .*kernel\.sig is missing$", verify(root).problems[0])
    published(store, "two", own)
    with pytest.raises(NetbootError, match=r"is signed, and no machine would boot it: .*kernel\.sig is missing"):
        switch(Writer(root, False, 1), "lab", older(root, "lab", first))


def test_a_release_whose_signatures_have_expired_is_found_and_not_made_active(store: Store, tmp_path: Path) -> None:
    short = issue("netboot code", ROOT, code_signing=True, days=(-0.9, -0.1))
    first = published(store, "one", signer(tmp_path / "old", short), time.time() - 43200).release.release_id
    published(store, "two", signer(tmp_path / "new"))
    root = str(store.root)
    (problem,) = verify(root).problems
    assert re.search(
        rf"the release {first} of lab is signed, and iPXE would refuse it: .*kernel\.sig has expired on", problem
    )
    for wanted in ("previous", first):
        for dry_run in (True, False):
            with pytest.raises(
                NetbootError, match=rf"{first} of lab .* no machine would boot it: .*kernel\.sig has expired on"
            ):
                switch(Writer(root, dry_run, 1), "lab", older(root, "lab", wanted))
    assert (store.root / "lab").resolve().name != first
    # What it says helps.
    published(store, "one", signer(tmp_path / "new"))
    assert verify(root).problems == []


def test_a_signature_that_is_of_something_else_is_not_published_and_found(store: Store, tmp_path: Path) -> None:
    own = signer(tmp_path / "key")
    done = published(store, "one", own)
    folder = store.root / "releases" / "lab" / done.release.release_id
    other = base64.b64decode(sign_digests(own, {"kernel": "0" * 64})["kernel"])
    flipped = bytearray(other)
    flipped[-1] ^= 1
    root = str(store.root)
    for damage, words in (
        (other, "is not a signature of what it lies beside, by netboot code"),
        (bytes(flipped), "is not a"),
        (other[:-9], "can be read"),
    ):
        (folder / "kernel.sig").write_bytes(damage)
        (problem,) = verify(root).problems
        assert words in problem
        texts = {**sign_digests(own, done.to_sign), "kernel": base64.b64encode(damage).decode()}
        writer = Writer(root, False, 1, signed=done.to_sign, signatures=texts)
        with pytest.raises(NetbootError, match=f"signatures: that of kernel .*{words}"):
            switch(writer, "lab", image_of(staged_manifest(root, "one"), SIGNED))


def test_a_new_certificate_replaces_the_signatures(store: Store, tmp_path: Path) -> None:
    published(store, "one", signer(tmp_path / "old"))
    renewed = signer(tmp_path / "new", issue("netboot code", ROOT, code_signing=True))
    assert published(store, "one", renewed).changed is True
    signature = base64.b64encode((store.root / "lab" / "kernel.sig").read_bytes()).decode()
    assert accepted(tmp_path, b"kernel of one", signature).returncode == 0
    assert published(store, "one", renewed).changed is False


def test_metrics_tell_when_the_signatures_expire(store: Store, tmp_path: Path) -> None:
    short = issue("netboot code", ROOT, code_signing=True, days=(-1, 9))
    published(store, "one", signer(tmp_path / "key", short))
    wanted = Wanted(str(store.root))
    name = 'nixmetal_netboot_signature_not_after_timestamp_seconds{channel="lab"}'
    until = short.certificate.not_valid_after_utc.timestamp()
    written = write_status(wanted, dry_run=False)
    assert f"{name} {until:.0f}\n" in written.metrics
    assert "yes, iPXE verifies it" in (store.root / "status" / "index.html").read_text()
    whole = (store.root / "lab" / "kernel.sig").read_bytes()
    for damage in (b"", b"0", b"\x30\x82\xff\xff", whole[:99]):
        (store.root / "lab" / "kernel.sig").write_bytes(damage)
        assert f"{name} 0\n" in write_status(wanted, dry_run=False).metrics


def test_whatever_stands_in_a_signature_is_told_and_nothing_else_breaks(tmp_path: Path) -> None:
    dice = random.Random(5)
    whole = base64.b64decode(sign_digests(signer(tmp_path), {"kernel": "1" * 64})["kernel"])
    check_message(whole, "1" * 64, "it")
    refused = 0
    for _number in range(600):
        damaged = bytearray(whole)
        for _times in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        if damaged == whole:
            continue
        # A change in what is not needed for it, such as a certificate's own signature, is for iPXE to refuse.
        with contextlib.suppress(NetbootError):
            check_message(bytes(damaged), "1" * 64, "it")
            refused -= 1
        refused += 1
    assert refused > 150
