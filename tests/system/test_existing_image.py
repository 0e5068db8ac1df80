# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""build.yml publishes what is built already: the latest output of a Hydra's job, or a store path, from a real binary cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab_driver import Built, Lab

pytestmark = pytest.mark.long

CHANNEL = "lab-x86_64-linux"
JOB = "job/infra/images/netboot.x86_64-linux"
# Of the build host's image, as the cache of another host would have it: compressed and signed.
CACHE = """set -e
rm -rf /srv/hydra && mkdir -p /srv/hydra/{job} && cd /srv/hydra
nix-store --generate-binary-cache-key lab-cache-1 /root/cache.secret /root/cache.public
nix --extra-experimental-features nix-command copy --to 'file:///srv/hydra/cache?secret-key=/root/cache.secret' {image} >&2
cat >{job}/latest
python3 -m http.server 8008 >/dev/null 2>&1 & echo $! >/run/hydra.pid
cat /root/cache.public
"""


@pytest.fixture
def image(lab: Lab, built: Built) -> str:
    return lab.build_host(f"readlink -f /nix/var/nix/gcroots/nixmetal/{CHANNEL}").stdout.strip()


@pytest.fixture
def hydra(lab: Lab, image: str) -> Iterator[dict[str, Any]]:
    """The settings that name a Hydra and its cache; both are plain files behind a web server on the build host."""
    latest = {"id": 7, "finished": 1, "buildstatus": 0, "buildoutputs": {"out": {"path": image}}}
    key = lab.build_host(CACHE.format(job=JOB, image=image), json.dumps(latest)).stdout.strip()
    url = f"http://{lab.address(10)}:8008"
    yield {
        "channel": CHANNEL,
        "hydra": {"url": url, "project": "infra", "jobset": "images", "job": "netboot.x86_64-linux"},
        "substituters": [f"{url}/cache"],
        "trusted_public_keys": [key],
    }
    lab.build_host("kill $(cat /run/hydra.pid); rm -rf /srv/hydra")


def publish(lab: Lab, settings: dict[str, Any], *options: str) -> Any:
    """The coordinator takes the build host's place: it has the derivation, but not the image."""
    return lab.play("build", *options, netboot_image_settings=settings, netboot_image_build_host="lab-coordinator")


def test_the_latest_image_of_a_job_is_fetched_and_published(lab: Lab, image: str, hydra: dict[str, Any]) -> None:
    name = image.rpartition("/")[2]
    untrusted = {**hydra, "trusted_public_keys": []}
    publish(lab, untrusted).refused("lab-coordinator", "trusted-public-keys")
    publish(lab, hydra, "--check").succeeded()
    assert lab.coordinator(f"test -e {image}", check=False).returncode != 0, "check mode fetched it"
    run = publish(lab, hydra).succeeded()
    assert f"Image {name}" in run.text
    assert lab.coordinator(f"readlink /nix/var/nix/gcroots/nixmetal/{CHANNEL}").stdout.strip() == image
    publish(lab, hydra).changed_nothing()
    by_path = {name: hydra[name] for name in ("channel", "substituters", "trusted_public_keys")}
    publish(lab, {**by_path, "store_path": image}).changed_nothing()


def test_a_job_that_never_succeeded_publishes_nothing(lab: Lab, hydra: dict[str, Any]) -> None:
    release = lab.web_host(f"readlink /srv/netboot/{CHANNEL}").stdout
    never = {**hydra, "hydra": {**hydra["hydra"], "job": "other"}}
    publish(lab, never).refused("Hydra has no successful build", "/job/infra/images/other/latest", "404")
    assert lab.web_host(f"readlink /srv/netboot/{CHANNEL}").stdout == release
