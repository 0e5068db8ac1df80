# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks of role netboot_releases on a web host that is this machine, where molecule's scenario does not reach."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from authority import issue, write_pair

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "roles"))
import shown  # noqa: E402

URL = "http://web.example.org"


class Web:
    """A web root, the inventory that has it, and the playbooks."""

    def __init__(self, place: Path) -> None:
        self.place, self.root = place, place / "web"
        (self.root / "blobs/sha256").mkdir(parents=True)

    def publish(self, channel: str, image_id: str) -> str:
        """Publish an image; its release's id."""
        files = []
        for role in ("kernel", "initrd"):
            content = f"{role} of {image_id}".encode()
            digest = hashlib.sha256(content).hexdigest()
            (self.root / "blobs/sha256" / digest).write_bytes(content)
            files.append({"name": role, "role": role, "size": len(content), "sha256": digest})
        manifest = {"schema": 1, "image_id": image_id, "system": "x86_64-linux", "kernel_params": [], "files": files}
        settings = Settings(channel, URL, "relative", ())
        return publish(str(self.root), check_manifest(manifest, "it"), settings, False, 5).release.release_id

    def play(self, name: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        own = {"netboot_server_root": str(self.root), "netboot_releases_operator": "ann@desk", **variables}
        children = {"netboot_hosts": {"hosts": {"web": here}}, "builders": {"hosts": {}}}
        (self.place / "hosts.json").write_text(json.dumps({"all": {"vars": own, "children": children}}))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.place / "hosts.json")]
        done = subprocess.run(
            [*command, str(CHECKOUT / "playbooks" / f"{name}.yml")],
            capture_output=True,
            text=True,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self.place / "ansible")},
            timeout=120,
            check=False,
        )
        assert shown.too_wide(done.stdout) == []
        return done


def said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).split())


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def test_the_certificate_of_a_directory_with_several_is_told_by_its_name(web: Web) -> None:
    for name in ("web.example.org", "other.example.org"):
        write_pair(web.place / "lego", [issue(name)], (f"{name}.crt", f"{name}.key"))
    given = {"netboot_server_tls_listen": ["443"], "netboot_server_acme_directory": str(web.place / "lego")}
    metrics = web.place / "netboot.prom"
    done = web.play(
        "status_page", **given, netboot_server_acme_name="web.example.org", netboot_releases_metrics_file=str(metrics)
    )
    assert done.returncode == 0, said(done)
    (line,) = [line for line in metrics.read_text().splitlines() if line.startswith("nixmetal_netboot_certificate_")]
    assert float(line.rpartition(" ")[2]) > time.time() + 86400


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here")
def test_a_repeated_promotion_into_a_signed_channel_changes_nothing(web: Web) -> None:
    root = issue("Root", authority=True)
    write_pair(web.place, [issue("code", root, code_signing=True), root], ("chain.pem", "key.pem"))
    channels = [{"name": "stable", "base_url": URL, "signed": True}]
    given = {
        "netboot_channels": channels,
        "netboot_releases_channel": "stable",
        "netboot_releases_from_channel": "canary",
        "netboot_signing_host": "web",
        "netboot_signing_certificate": str(web.place / "chain.pem"),
        "netboot_signing_key": str(web.place / "key.pem"),
    }
    web.publish("canary", "one")
    done = web.play("promote", **given)
    assert done.returncode == 0, said(done)
    replaced = (web.root / "stable").resolve().name
    web.publish("canary", "two")
    for changed in (True, False):
        done = web.play("promote", **given, netboot_releases_replaces=replaced)
        assert done.returncode == 0, said(done)
        assert ("web: stable boots Image two" in said(done), "(as before)" in said(done)) == (True, not changed)
    assert (web.root / "stable" / "kernel.sig").exists()


def test_a_reading_of_one_fleet_prunes_nothing_unless_there_is_no_other(web: Web) -> None:
    for image_id in ("one", "two"):
        web.publish("canary", image_id)
    reading = {"complete": True, "source": "test", "project": None, "count": 0, "read_at": "2026-11-23T04:00:00Z"}
    given = {"builders_reading_max_age_seconds": 0, "netboot_releases_keep": 1, "netboot_releases_grace_hours": 0}
    refused = web.play("prune", **given, builders_reading={**reading, "fleet": "hydra"})
    assert refused.returncode != 0
    assert "the inventory reads the fleet hydra alone" in said(refused)
    assert len(list((web.root / "releases/canary").iterdir())) == 2
    done = web.play("prune", **given, builders_reading={**reading, "fleet": "hydra"}, netboot_releases_one_fleet=True)
    assert done.returncode == 0, said(done)
    (left,) = (web.root / "releases/canary").iterdir()
    assert "web: 1 release and 2 blobs are gone" in said(done)
    assert f"Stays canary {left.name} two active, among the newest 1" in said(done)
    # Nothing was left out of this one.
    again = web.play("prune", **given, builders_reading={**reading, "fleet": None})
    assert again.returncode == 0, said(again)
    assert "web: nothing to remove" in said(again)
