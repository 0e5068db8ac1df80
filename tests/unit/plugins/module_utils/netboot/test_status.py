# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status page, the JSON and the metrics of a store."""

from __future__ import annotations

import html.parser
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from authority import issue, write_pair

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import status
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status import Wanted, write_status
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status_page import render_page, size
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish

ALERTS = Path(__file__).resolve().parents[5] / "roles/netboot_releases/files/alerts.yml"
# make units unpacks one.
PROMTOOL = os.environ.get("NIXMETAL_TEST_PROMTOOL") or shutil.which("promtool") or ""
URL = "http://web.example.org"


def published(store: Any, image_id: str, *words: str, channel: str = "stable") -> str:
    manifest = check_manifest(store.image(image_id), "manifest")
    settings = Settings(channel, URL, "relative", words)
    return publish(str(store.root), manifest, settings, False, 5).release.release_id


class Links(html.parser.HTMLParser):
    """Collects links, and refuses what would run or load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        self.found += [str(value) for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_what_is_active_and_what_changed(store: Any) -> None:
    first = published(store, "one-image")
    second = published(store, "two-image", "console=ttyS1")
    written = write_status(Wanted(str(store.root)), dry_run=False)
    assert written.changed
    page = (store.root / "status" / "index.html").read_text()
    seen = Links(page)
    for words in ("two-image", second, first[:12], "parameters added: console=ttyS1", "changed initrd-00, kernel"):
        assert words in seen.text
    told = json.loads((store.root / "status" / "status.json").read_text())
    assert [channel["release_id"] for channel in told["channels"]] == [second]
    assert (store.root / "status" / "index.html").stat().st_mode & 0o777 == 0o644


def test_the_older_of_two_writers_does_not_win(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(str(store.root), str(tmp_path / "store.prom"))
    published(store, "one-image")
    gather = status.gather

    def slow(root: str) -> dict[str, Any]:
        """What there was, told after another writer has published and written."""
        monkeypatch.setattr(status, "gather", gather)
        document = gather(root)
        published(store, "two-image")
        write_status(wanted, dry_run=False)
        return document

    monkeypatch.setattr(status, "gather", slow)
    written = write_status(wanted, dry_run=False)
    assert written.changed
    told = json.loads((store.root / "status" / "status.json").read_text())
    assert told["channels"][0]["image_id"] == "two-image"
    assert "two-image" in (store.root / "status" / "index.html").read_text()
    assert samples((tmp_path / "store.prom").read_text())['nixmetal_netboot_releases{channel="stable"}'] == 2


def test_every_link_leads_to_a_file_of_the_store(store: Any) -> None:
    published(store, "one-image")
    published(store, "two-image")
    published(store, "one-canary", channel="stable--canary")
    write_status(Wanted(str(store.root)), dry_run=False)
    links = Links((store.root / "status" / "index.html").read_text()).found
    assert len(links) > 8
    for link in links:
        path = urllib.parse.urlsplit(urllib.parse.urljoin("http://x/status/", link)).path
        assert (store.root / path.lstrip("/")).is_file(), link


def test_a_second_writing_changes_nothing_and_check_mode_writes_nothing(store: Any) -> None:
    published(store, "one-image")
    assert write_status(Wanted(str(store.root)), dry_run=True).changed
    assert not (store.root / "status").exists()
    write_status(Wanted(str(store.root)), dry_run=False)
    before = (store.root / "status" / "index.html").stat().st_ino
    assert not write_status(Wanted(str(store.root), good_build_of="stable"), dry_run=False).changed
    assert (store.root / "status" / "index.html").stat().st_ino == before
    published(store, "two-image")
    assert write_status(Wanted(str(store.root)), dry_run=True).changed


def test_an_empty_store_has_a_page_too(store: Any) -> None:
    assert write_status(Wanted(str(store.root)), dry_run=False).changed
    assert "No channel has a release yet." in (store.root / "status" / "index.html").read_text()


def test_a_damaged_release_is_told(store: Any) -> None:
    first = published(store, "one-image")
    published(store, "two-image")
    manifest = store.root / "releases" / "stable" / first / "manifest.json"
    manifest.parent.chmod(0o755)
    manifest.unlink()
    manifest.write_text("{")
    write_status(Wanted(str(store.root)), dry_run=False)
    assert "damaged" in Links((store.root / "status" / "index.html").read_text()).text


def test_what_people_wrote_is_text_and_no_markup(store: Any) -> None:
    published(store, "one-image")
    history = store.root / ".state" / "history" / "stable.jsonl"
    step = json.loads(history.read_text().splitlines()[-1]) | {"by": "<script>alert(1)</script>"}
    history.write_text(json.dumps(step) + "\n")
    write_status(Wanted(str(store.root)), dry_run=False)
    assert "<script>alert(1)</script>" in Links((store.root / "status" / "index.html").read_text()).text


def samples(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _space, value in rows}


def test_metrics_tell_times_sizes_and_the_last_good_build(store: Any, tmp_path: Path) -> None:
    published(store, "one-image")
    file = tmp_path / "netboot.prom"
    write_status(Wanted(str(store.root), str(file), "stable"), dry_run=False, now=1_700_000_000.0)
    told = samples(file.read_text())
    assert told['nixmetal_netboot_last_good_build_timestamp_seconds{channel="stable"}'] == 1_700_000_000
    assert told['nixmetal_netboot_releases{channel="stable"}'] == 1
    assert told["nixmetal_netboot_blobs_bytes"] == sum(
        path.stat().st_size for path in (store.root / "blobs/sha256").iterdir()
    )
    assert told['nixmetal_netboot_release_activated_timestamp_seconds{channel="stable"}'] > 1_700_000_000
    # Without a new build the time stays.
    write_status(Wanted(str(store.root), str(file)), dry_run=False, now=1_800_000_000.0)
    assert (
        samples(file.read_text())['nixmetal_netboot_last_good_build_timestamp_seconds{channel="stable"}']
        == 1_700_000_000
    )


def test_metrics_tell_when_the_first_certificate_of_the_chain_expires(store: Any, tmp_path: Path) -> None:
    middle = issue("middle", authority=True, days=(-1, 20))
    write_pair(tmp_path / "acme", [issue("web", middle), middle])
    name = "nixmetal_netboot_certificate_not_after_timestamp_seconds"
    for certificate in (tmp_path / "acme", tmp_path / "acme" / "fullchain.pem"):
        told = samples(write_status(Wanted(str(store.root), certificate=str(certificate)), dry_run=False).metrics)
        assert told[f'{name}{{file="{certificate}"}}'] == middle.certificate.not_valid_after_utc.timestamp()
    # lego keeps all of them in one directory.
    for words, days in (("web.example.org", 9), ("other.example.org", 5)):
        write_pair(tmp_path / "lego", [issue(words, days=(-1, days))], (f"{words}.crt", f"{words}.key"))
    lego = Wanted(str(store.root), certificate=str(tmp_path / "lego"))
    series = f'{name}{{file="{tmp_path}/lego"}}'
    assert samples(write_status(lego, dry_run=False).metrics)[series] == 0
    named = samples(write_status(lego._replace(certificate_name="web.example.org"), dry_run=False).metrics)[series]
    assert named > time.time() + 8 * 86400
    gone = tmp_path / 'a "file"'
    told = samples(write_status(Wanted(str(store.root), certificate=str(gone)), dry_run=False).metrics)
    assert told[f'{name}{{file="{tmp_path}/a \\"file\\""}}'] == 0
    assert name not in write_status(Wanted(str(store.root)), dry_run=False).metrics


@pytest.mark.parametrize(
    ("root", "channel", "words"), [("nowhere", None, "root: the directory"), (".", "blobs", "blobs")]
)
def test_bad_arguments_are_named(store: Any, root: str, channel: str | None, words: str) -> None:
    with pytest.raises(NetbootError, match=words):
        write_status(Wanted(str(store.root / root), good_build_of=channel), dry_run=False)


def test_sizes_are_for_people() -> None:
    assert [size(count) for count in (999, 59_000_000, 1_139_802_112)] == ["999 bytes", "59.0 MB", "1.1 GB"]
    assert "<h1>" in render_page({"channels": [], "blobs": {"count": 0, "bytes": 0}})


def test_alerts_ask_for_metrics_that_exist(store: Any) -> None:
    published(store, "one-image")
    metrics = write_status(Wanted(str(store.root), None, "stable", "/no/certificate"), dry_run=False).metrics
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"nixmetal_\w+", rule["expr"])}
    assert asked
    known = set(re.findall(r"^(nixmetal_\w+)", metrics, re.MULTILINE))
    # Told of signed channels alone: see test_signatures.py.
    assert asked <= known | {"nixmetal_netboot_signature_not_after_timestamp_seconds"}


@pytest.mark.skipif(
    not PROMTOOL, reason="*** THE ALERT RULES ARE NOT CHECKED: there is no promtool (package prometheus) ***"
)
def test_promtool_accepts_rules_and_metrics(store: Any) -> None:
    published(store, "one-image")
    metrics = write_status(Wanted(str(store.root), None, "stable", "/no/certificate"), dry_run=False).metrics
    rules = subprocess.run([PROMTOOL, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert rules.returncode == 0, rules.stderr
    assert "8 rules found" in rules.stdout
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_killed_writer_left_is_no_build_and_stops_nobody(store: Any) -> None:
    published(store, "one-image")
    write_status(Wanted(str(store.root), good_build_of="stable"), dry_run=False)
    (store.root / ".state" / "builds" / ".stable.left").mkdir()
    (store.root / ".state" / "builds" / "given-up").write_text("2026-01-01T00:00:00Z\n")
    told = samples(write_status(Wanted(str(store.root), good_build_of="stable"), dry_run=False).metrics)
    assert [name for name in told if "last_good_build" in name] == [
        'nixmetal_netboot_last_good_build_timestamp_seconds{channel="stable"}'
    ]


def test_free_space_is_what_an_ordinary_user_may_fill(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs(store.root))
    values[1], values[3], values[4] = 4096, 99, 10  # f_frsize, f_bfree, f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))
    assert "nixmetal_netboot_free_bytes 40960\n" in write_status(Wanted(str(store.root)), dry_run=True).metrics


@pytest.mark.parametrize("dry_run", [False, True])
def test_metrics_without_their_directory_are_told_as_such_and_before_anything_is_written(
    store: Any, dry_run: bool
) -> None:
    published(store, "one")
    with pytest.raises(
        NetbootError, match=r"metrics_file: cannot write .*/collector/netboot.prom: its directory does not exist"
    ):
        write_status(Wanted(str(store.root), metrics_file=f"{store.root}/collector/netboot.prom"), dry_run)
    assert not (store.root / "status").exists()


def test_metrics_that_cannot_be_written_are_no_fault_of_the_store(store: Any) -> None:
    published(store, "one")
    taken = store.root / "taken.prom"
    taken.mkdir()
    with pytest.raises(
        NetbootError, match=r"metrics_file: cannot write .*taken.prom: Is a directory.*stays as it is"
    ) as told:
        write_status(Wanted(str(store.root), metrics_file=str(taken)), False)
    assert "publish below" not in str(told.value)
