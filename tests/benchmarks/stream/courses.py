# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured in one portion: the release that is carried, what the web host holds before, and the line between them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import workload
from account import machine_seconds
from contenders import CONTENDERS, Course
from hosts import MEDIA, Hosts

PATH_BYTES = 5_400_000
ONE_IN = 20


@dataclasses.dataclass(frozen=True)
class Portion:
    """A course that contenders run in turn."""

    scenario: str  # cold: nothing is there; next: the release before; same: the very release
    medium: str
    contenders: tuple[str, ...]
    rate: str = "unlimited"
    delay: float = 0.0
    megabytes: int = 1100
    runs: int = 5


class Field:
    """The two hosts' files for one portion."""

    def __init__(self, hosts: Hosts, portion: Portion) -> None:
        self._hosts = hosts
        self._portion = portion
        self._place = MEDIA[portion.medium]
        self._source = hosts.root("build") / "bench/made" / str(portion.megabytes)
        self.facts: dict[str, Any] = {
            "scenario": portion.scenario, "medium": portion.medium, "line": portion.rate,
            "delay in ms each way": portion.delay, "MB": portion.megabytes,
        }  # fmt: skip

    def prepare(self) -> None:
        """Make both releases once, and put them where they are sent from."""
        if not (self._source / "ready").exists():
            self._make()
        self.facts["MB changed"] = json.loads((self._source / "ready").read_text()) / 1e6
        releases = f"/bench/made/{self._portion.megabytes}"
        self._hosts.run(
            "build",
            f"rm -rf {self._place}/src; cp -r {releases}/images {self._place}/src; "
            # A release is not as old as the one before: rsync takes files of one size and second for the same.
            f"touch -d yesterday {self._place}/src/old/*; sync -f {self._place}; "
            f"cat {self._place}/src/new/* > /dev/null",
        )
        for folder in MEDIA.values():  # nothing of another portion is in the way
            self._hosts.run("web", f"! mountpoint -q /nix || umount /nix; rm -rf {folder}/*")
        # Memory that a virtual machine touches for the first time is slow: the first contender would pay for all.
        size = self._portion.megabytes + 200
        self._hosts.run("web", f"head -c {size}M /dev/zero > {self._place}/warm; rm {self._place}/warm")
        if "tar | openssl" in self._portion.contenders:
            self._hosts.run(
                "web",
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench "
                "-keyout /bench/key.pem -out /bench/cert.pem 2>/dev/null",
            )

    def _make(self) -> None:
        shutil.rmtree(self._source, ignore_errors=True)
        paths, kernel = self._source / "paths", os.urandom(workload.KERNEL_MEGABYTES * workload.MEGABYTE)
        made = workload.make_paths(paths, self._portion.megabytes - workload.KERNEL_MEGABYTES, PATH_BYTES)
        images = self._source / "images"
        workload.make_image(images / "old", made, kernel, "0-old")
        self._add_to_nix("old")
        changed = workload.change(paths, ONE_IN)
        workload.make_image(images / "new", made, kernel, "0-new")
        self._add_to_nix("new")
        (self._source / "ready").write_text(json.dumps(changed))

    def _add_to_nix(self, release: str) -> None:
        folder = f"/bench/made/{self._portion.megabytes}"
        self._hosts.run("build", f"nix-store --add {folder}/paths/* > {folder}/{release}.paths")

    def run(self, contender: str, address: dict[str, str]) -> dict[str, Any]:
        """Measure one contender."""
        course = self._course(contender, address, "new")
        (self._hosts.root("build") / "bench/manifest.json").write_text(self._manifest("new").read_text())
        account = self._hosts.account
        before, busy, used = self._hosts.link_bytes("web"), machine_seconds(), account.seconds()
        begun = time.monotonic()
        details = CONTENDERS[contender](course)
        seconds = time.monotonic() - begun
        used, busy = account.seconds() - used, machine_seconds() - busy
        wire = self._hosts.link_bytes("web") - before
        if contender != "plain TCP":
            self._check(contender, course)
        if self._portion.scenario == "cold":  # room for the next one
            self._hosts.run("web", f"! mountpoint -q /nix || umount /nix; rm -rf {course.dest}")
        others = max(0.0, busy - used) / seconds
        return {
            "seconds": round(seconds, 3),
            "cpu": round(used, 2),
            "others": round(others, 2),
            "wire": wire,
            **details,
        }

    def _manifest(self, release: str) -> Path:
        return self._source / "images" / release / "manifest.json"

    def _course(self, contender: str, address: dict[str, str], release: str) -> Course:
        place, folder = self._place, f"/bench/made/{self._portion.megabytes}"
        durable = self._portion.medium == "disk"
        dest = (
            f"{place}/{'nix' if contender.startswith('nix') else 'dest-' + contender.split(maxsplit=1)[0].strip(',')}"
        )
        return Course(self._hosts, address, f"{place}/src/{release}", dest, f"{folder}/{release}.paths", durable)

    def reset(self, contender: str) -> None:
        """Put the web host into its first state. No line is shaped yet, so that this takes no longer than it must."""
        dest = self._course(contender, self._hosts.address, "new").dest
        scenario = self._portion.scenario
        is_nix, held = contender.startswith("nix"), f"{dest}/held"
        if scenario == "cold" or not self._hosts.run("web", f"test ! -e {held} || echo held"):
            self._hosts.run("web", f"! mountpoint -q /nix || umount /nix; rm -rf {dest}; mkdir -p {dest} /nix")
            if is_nix:
                self._hosts.run("web", f"mount --bind {dest} /nix")
            if scenario != "cold":
                self._bring_first(contender, "old" if scenario == "next" else "new")
                self._hosts.run("web", f"touch {held}")
        elif scenario == "next":
            self._go_back(contender, dest)
        self._hosts.run("web", f"sync -f {dest}")

    def _bring_first(self, contender: str, release: str) -> None:
        (self._hosts.root("build") / "bench/manifest.json").write_text(self._manifest(release).read_text())
        CONTENDERS[contender](self._course(contender, self._hosts.address, release))

    def _go_back(self, contender: str, dest: str) -> None:
        """Take the next release away again, without touching what belongs to the one before."""
        if contender == "rsync":
            self._bring_first(contender, "old")
        elif contender == "stream":
            old, new = (
                {file["sha256"] for file in json.loads(self._manifest(name).read_text())["files"]}
                for name in ("old", "new")
            )
            for digest in new - old:
                state = f"{dest}/.state"
                self._hosts.run(
                    "web", f"rm -f {dest}/blobs/sha256/{digest} {state}/pieces/{digest} {state}/verified/{digest}"
                )
            self._hosts.run("web", f"rm -rf {dest}/.state/staging/0-new")
        else:
            lists = [set((self._source / f"{name}.paths").read_text().split()) for name in ("old", "new")]
            self._hosts.run("web", f"nix-store --delete {' '.join(sorted(lists[1] - lists[0]))} 2>/dev/null")

    def _check(self, contender: str, course: Course) -> None:
        """Every byte that was to come has come."""
        if contender.startswith("nix"):
            self._hosts.run("web", f"test $(ls -d /nix/store/*-path-* | wc -l) -ge {self._count()}")
            return
        for file in json.loads(self._manifest("new").read_text())["files"]:
            name = f"blobs/sha256/{file['sha256']}" if contender.startswith("stream") else file["name"]
            self._hosts.run("web", f"openssl dgst -sha256 -r {course.dest}/{name} | grep -q ^{file['sha256']}")

    def _count(self) -> int:
        return len((self._source / "new.paths").read_text().split())
