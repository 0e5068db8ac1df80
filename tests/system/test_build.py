# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an expression to a published channel, and what keeps a bad image from being published."""

from __future__ import annotations

import difflib
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_driver import CHECKOUT, Built, Lab

IMAGE = "/nix/var/nix/gcroots/nixmetal"
CHANNEL = "/srv/netboot/lab-x86_64-linux"


@pytest.fixture
def release(lab: Lab, built: Built) -> str:
    """Where the channel points."""
    return lab.web_host(f"readlink {CHANNEL}").stdout.strip()


@pytest.fixture
def image(lab: Lab, built: Built) -> str:
    """The image directory on the build host."""
    return lab.build_host(f"readlink -f {IMAGE}/lab-x86_64-linux").stdout.strip()


def test_this_machine_carries_none_of_the_image(lab: Lab, built: Built) -> None:
    size = int(lab.web_host("du -sb /srv/netboot/blobs | cut -f1").stdout)
    assert size > 20_000_000
    print(f"the image has {size} bytes, this machine carried {built.carried_bytes}")
    # What there is are Ansible's own programs; the image on its way through here would count twice.
    assert built.carried_bytes < size / 5


def test_the_release_names_blobs_that_are_what_their_names_say(lab: Lab, built: Built) -> None:
    manifest = json.loads(lab.web_host(f"cat {CHANNEL}/manifest.json").stdout)
    script = lab.web_host(f"cat {CHANNEL}/netboot.ipxe").stdout
    assert f"nixmetal.image={manifest['image_id']}" in script
    assert f"nixmetal.blobs={lab.web}/blobs/sha256 " in script
    for file in manifest["files"]:
        # The segments are left to stage 1, whose first initrd names them.
        assert (file["sha256"] in script) == (file["role"] != "segment")
        summed = lab.web_host(f"sha256sum /srv/netboot/blobs/sha256/{file['sha256']}").stdout
        assert summed.split()[0] == file["sha256"]


def test_the_status_page_tells_what_is_published(lab: Lab, release: str) -> None:
    with urllib.request.urlopen(f"{lab.web}/status/", timeout=30) as answer:
        page = answer.read().decode()
        assert answer.headers["Content-Type"] == "text/html"
    assert release.rpartition("/")[2] in page
    for link in set(re.findall(r'href="([^"]+)"', page)):
        with urllib.request.urlopen(urllib.parse.urljoin(f"{lab.web}/status/", link), timeout=30) as answer:
            assert answer.status == 200


def test_a_second_build_changes_nothing(lab: Lab, built: Built) -> None:
    run = lab.play("build").changed_nothing()
    assert "Built 0 derivations" in run.text
    assert "Streamed nothing" in run.text


# Every file and directory of a host, with type, mode, owner and what a link leads to, of files the size and the time of the last change
# too; and what Nix's database says. Not what comes and goes with any look: Ansible's and Nix's temporary files, the database's file, which
# SQLite touches when it reads, and what Python compiles.
SNAPSHOT = r"""
set -e
find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log -o -path /root/.ansible \
  -o -path /nix/var/nix/temproots -o -path /nix/var/nix/db -o -name __pycache__ \) -prune \
  -o -type d -printf '%p %y %m %U:%G\n' -o -printf '%p %y %m %U:%G %s %T@ %l\n' | sort
[ ! -d /nix/store ] || nix-store --dump-db
"""


# The coordinator has little else, and evaluates.
ROOTS = f"ls -a /nix/store {IMAGE} /nix/var/nix/gcroots; ls -l --time-style=full-iso {IMAGE} /etc/nix"


def snapshots(lab: Lab) -> dict[str, str]:
    """The whole build host and web host; of the coordinator its store, the roots and Nix's settings."""
    return {
        "build": lab.build_host(SNAPSHOT).stdout,
        "web": lab.web_host(SNAPSHOT).stdout,
        "coordinator": lab.coordinator(ROOTS).stdout,
    }


def test_check_mode_shows_what_a_changed_setting_builds_and_touches_nothing(
    lab: Lab, image: str, release: str, built: Built
) -> None:
    before = snapshots(lab)
    for seen in (f"{IMAGE}/lab-x86_64-linux", "/nix/var/nix/gcroots/auto", image):
        assert f"{seen} " in before["build"]
    for seen in (CHANNEL, "/srv/netboot/.state/history", "/srv/netboot/status/index.html"):
        assert f"{seen} " in before["web"]
    settings = {
        "channel": "lab-x86_64-linux",
        "file": "lab/default.nix",
        "args": {
            "packages": "/srv/nixmetal-lab/packages",
            "busybox": "/usr/bin/busybox",
            "authorizedKeys": ["ssh-ed25519 AAAA x"],
        },
    }
    run = lab.play("build", "--check", "--diff", netboot_image_settings=settings).succeeded()
    # Of all that the image is made of, only what the setting reaches.
    assert re.findall(r"^  /nix/store/\w{32}-(\S+)$", run.output, re.MULTILINE) == [
        "settings.drv",
        "segment-90-settings.drv",
        "lab-image.drv",
    ]
    assert "To build 3 derivations on lab-build: settings, segment-90-settings, lab-image" in run.text
    assert f"before {image.rpartition('/')[2]}" in run.text
    assert "To fetch 0 paths" in run.text
    assert run.changed["lab-build"] == run.changed["lab-web"] == 0
    after = snapshots(lab)
    for host, files in before.items():
        changes = "\n".join(difflib.unified_diff(files.splitlines(), after[host].splitlines(), host, n=0, lineterm=""))
        assert not changes, changes


def bad_image(lab: Lab, image: str, name: str, edit: str) -> str:
    """A copy of the image on the build host, made bad by a shell command in it."""
    path = f"/tmp/{name}"
    lab.build_host(f"rm -rf {path} && cp -rL {image} {path} && chmod -R u+w {path} && cd {path} && {edit}")
    return path


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [
        ("wrong-digest", "echo one more line >>90-settings.squashfs", ["90-settings.squashfs"]),
        ("same-size", "printf X | dd of=kernel bs=1 seek=1000 conv=notrunc status=none", ["kernel"]),
        ("no-manifest", "rm manifest.json", ["manifest.json", "lab-build"]),
        ("no-json", "echo '{' >manifest.json", ["lab-build", "manifest is not JSON"]),
    ],
)
def test_a_bad_image_is_neither_stored_nor_published(
    lab: Lab, image: str, release: str, name: str, edit: str, words: list[str]
) -> None:
    blobs = lab.web_host("ls /srv/netboot/blobs/sha256").stdout
    path = bad_image(lab, image, name, edit)
    # What it already has is not asked for again, so the good file of that digest must be away for a moment.
    lab.web_host("mkdir -p /srv/away && mv /srv/netboot/blobs/sha256/* /srv/away")
    try:
        refused = lab.module("lab-web", "artifact_stream", source="lab-build", src=path, dest="/srv/netboot").refused(
            *words
        )
        left = set(lab.web_host("ls /srv/netboot/blobs/sha256").stdout.split())
        assert left < set(blobs.split()), refused.output
    finally:
        lab.web_host("mv /srv/away/* /srv/netboot/blobs/sha256/")
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


def test_a_damaged_blob_is_not_published(lab: Lab, release: str) -> None:
    """Its record of a verified digest no longer fits, so it is read again before a release may name it."""
    manifest = json.loads(lab.web_host(f"cat {CHANNEL}/manifest.json").stdout)
    blob = f"/srv/netboot/blobs/sha256/{manifest['files'][-1]['sha256']}"
    lab.web_host(f"cp -p {blob} /srv/good && chmod u+w {blob} && printf X | dd of={blob} bs=1 conv=notrunc status=none")
    try:
        run = lab.module(
            "lab-web", "netboot_release", root="/srv/netboot", channel="other",
            image_id=manifest["image_id"], base_url=lab.web,
        )  # fmt: skip
        run.refused(manifest["files"][-1]["sha256"])
        assert lab.web_host("ls /srv/netboot").stdout.split() == ["blobs", "lab-x86_64-linux", "releases", "status"]
    finally:
        lab.web_host(f"mv /srv/good {blob}")
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


def test_a_build_that_fails_shows_its_log_and_publishes_nothing(lab: Lab, release: str, tmp_path: Path) -> None:
    (tmp_path / "default.nix").write_text(
        'derivation { name = "broken"; system = "x86_64-linux"; builder = "/bin/sh";'
        ' args = [ "-c" "echo the roof is leaking >&2; exit 7" ]; }\n'
    )
    settings = {"channel": "lab-x86_64-linux", "source": str(tmp_path), "file": "default.nix", "args": {}}
    lab.play("build", netboot_image_settings=settings).refused("lab-build", "the roof is leaking")
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


def test_a_build_host_without_nix_is_told_what_to_do(lab: Lab, release: str) -> None:
    lab.build_host("mkdir /away && mv /usr/bin/nix* /away/")
    try:
        lab.play("build").refused("Nix", "lab-build", "nstall")
    finally:
        lab.build_host("mv /away/* /usr/bin/ && rmdir /away")
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


def test_a_web_host_without_space_is_told_before_anything_is_streamed(lab: Lab, release: str) -> None:
    lab.play("build", netboot_server_minimum_free="500T").refused("lab-web", "netboot_server_minimum_free")
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


def test_a_port_in_use_is_told(lab: Lab, release: str) -> None:
    lab.web_host("python3 -m http.server 81 </dev/null >/dev/null 2>&1 & echo $! >/run/other.pid")
    try:
        lab.play("build", netboot_server_listen=["80", "81"]).refused("lab-web", "81")
    finally:
        lab.web_host("kill $(cat /run/other.pid)")
    lab.play("build").succeeded()
    assert lab.web_host(f"readlink {CHANNEL}").stdout.strip() == release


CONSOLE = Path("/var/lib/nixmetal/test-boots/lab-web-tried.log")


@pytest.fixture
def tried(lab: Lab, release: str) -> Iterator[dict[str, Any]]:
    """A second channel of the same image, whose releases this machine boots first: the lab's hosts have no QEMU."""
    keys = [(lab.directory / f"ssh/{name}.pub").read_text().strip() for name in ("id_ed25519", "builder_ed25519")]
    args = {"packages": "/srv/nixmetal-lab/packages", "busybox": "/usr/bin/busybox", "authorizedKeys": keys}
    yield {
        "netboot_image_settings": {"channel": "tried", "file": "lab/default.nix", "args": args},
        "netboot_test_boot": True,
        "netboot_image_test_boot_host": "localhost",
        "netboot_image_test_boot_root": str(lab.directory / "roots/web/srv/netboot"),
        "netboot_image_test_boot_memory_mb": 768,
        "netboot_image_test_boot_acceleration": "tcg",
    }
    lab.web_host("rm -rf /srv/netboot/tried /srv/netboot/releases/tried")
    CONSOLE.unlink(missing_ok=True)


def channel(lab: Lab, *kernel_params: str) -> list[dict[str, Any]]:
    return [{"name": "tried", "base_url": lab.web, "kernel_params": list(kernel_params)}]


def test_a_release_that_does_not_boot_is_never_active(lab: Lab, tried: dict[str, Any]) -> None:
    channels = channel(lab, "rdinit=/nowhere")
    lab.play("build", **tried, netboot_channels=channels).refused("was not activated", "Kernel panic", str(CONSOLE))
    assert lab.web_host("ls /srv/netboot/tried", check=False).returncode != 0


def test_a_release_is_active_once_it_has_booted(lab: Lab, tried: dict[str, Any]) -> None:
    channels = channel(lab, "nixmetal.tried=1")
    lab.play("build", **tried, netboot_channels=channels).succeeded()
    assert "nixmetal.tried=1" in CONSOLE.read_text(errors="replace")
    assert lab.web_host("readlink /srv/netboot/tried").stdout.startswith("releases/tried/")
    CONSOLE.unlink()
    lab.play("build", **tried, netboot_channels=channels).changed_nothing()
    assert not CONSOLE.exists(), "what is active already was booted again"


def test_inventories_lab_is_what_this_lab_was_made_from(lab: Lab) -> None:
    """The same files, with other addresses: what is shown here holds for `-i inventories/lab`."""
    shipped = CHECKOUT / "inventories/lab"
    names: Any = {str(path.relative_to(shipped)) for path in shipped.rglob("*.yml")}
    assert {str(path.relative_to(lab.inventory)) for path in lab.inventory.rglob("*.yml")} == names


def test_collecting_garbage_keeps_what_is_published_and_fails_closed(lab: Lab, image: str) -> None:
    """An image that nobody published goes, an undeclared channel's link with it; what is young or published stays."""
    old, young = (
        lab.build_host(f"echo {name} >/tmp/{name}; nix-store --add /tmp/{name}").stdout.strip()
        for name in ("old", "young")
    )
    lab.build_host(
        f"cd {IMAGE} && ln -s {old} images/ && ln -s {young} images/ && ln -s {old} gone-channel && ln -s {old} gone-channel.drv"
        f" && touch -h -d '8 days ago' images/* gone-channel* lab-x86_64-linux* && touch -h images/*-young"
    )
    try:
        lab.play("collect_garbage", "--limit", "lab-build").refused(
            "What lab-web has published is not known", "no root is removed"
        )
        foretold = lab.play("collect_garbage", "--check").succeeded()
        assert lab.build_host(f"test -e {old}").returncode == 0
        assert "lab-build: 3 links to images that nobody publishes would be removed" in foretold.text
        assert "Garbage told without --check" in foretold.text
        assert foretold.changed["lab-build"] == 1
        done = lab.play("collect_garbage").succeeded()
        assert "store paths deleted" in done.text
        left = set(lab.build_host(f"ls {IMAGE} {IMAGE}/images").stdout.split())
        assert {image.rpartition("/")[2], young.rpartition("/")[2], "lab-x86_64-linux", "lab-x86_64-linux.drv"} <= left
        assert not {old.rpartition("/")[2], "gone-channel", "gone-channel.drv"} & left
        assert lab.build_host(f"test -e {old}", check=False).returncode != 0
        assert lab.build_host(f"test -e {image} && test -e {young}").returncode == 0
        lab.play("collect_garbage").changed_nothing()
    finally:
        lab.build_host(f"rm -f {IMAGE}/images/*-young {IMAGE}/gone-channel*")
