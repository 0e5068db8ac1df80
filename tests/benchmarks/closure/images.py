# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of a large closure, built by a real Nix in a store of its own."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nix_root

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[2] / "nix/lib"
TOOLS = ("cpio", "mksquashfs", "unsquashfs")
OPTIONS = {"sandbox": "false", "build-users-group": "", "substituters": "", "cores": "2"}


@dataclass(frozen=True)
class Image:
    """An image directory, and what its segment took: wall and CPU seconds."""

    directory: Path
    paths: frozenset[str]
    seconds: float
    cpu: float

    @cached_property
    def segment(self) -> dict[str, Any]:
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        return dict(manifest["files"][-1])

    @property
    def size(self) -> int:
        return int(self.segment["size"])

    @property
    def pieces(self) -> dict[str, int]:
        return {piece["sha256"]: piece["size"] for piece in self.segment["pieces"]}

    def new_paths(self, before: Image | None) -> frozenset[str]:
        return self.paths - (before.paths if before else frozenset())


class Images:
    """Nix from a root, and the store."""

    def __init__(self, root: Path, directory: Path) -> None:
        self._root = root
        self._programs = directory / "programs"
        shutil.copytree(nix_root.on_path(root), self._programs)
        for name in TOOLS:
            self._wrap(name)
        self.store = directory / "nix/store"
        self._directory = directory
        kinds = {kind: directory / "nix" / kind.lower() for kind in ("STATE", "LOG", "CONF", "LOCALSTATE")}
        self.environment = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "HOME": str(directory),
            "NIX_REMOTE": "",
            "NIX_STORE_DIR": str(self.store),
            **{f"NIX_{kind}_DIR": str(path) for kind, path in kinds.items()},
        }

        # By its usual name Nix would start the hook without the loader.
        settings = {**OPTIONS, "build-hook": str(self._programs / "build-remote")}
        kinds["CONF"].mkdir(parents=True)
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (kinds["CONF"] / "nix.conf").write_text(text, encoding="utf-8")

    def _wrap(self, name: str) -> None:
        binary = next(path for folder in ("usr/bin", "bin") for path in (self._root / folder).glob(name))
        script = self._programs / name
        command = shlex.join(nix_root.program(self._root, name, str(binary.relative_to(self._root))))
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)

    def versions(self) -> str:
        """Of what cuts."""
        squashfs = self.run("mksquashfs", "-version").splitlines()[0].partition("(")[0]
        return f"{self.run('nix', '--version').strip()}, {squashfs.strip()}"

    def run(self, *command: str, check: bool = True, **more: str) -> str:
        done = subprocess.run(
            command, env={**self.environment, **more}, stdout=subprocess.PIPE, text=True, check=check, cwd=self._directory
        )  # fmt: skip
        return done.stdout

    def _nix_build(self, attr: str, arguments: dict[str, Any]) -> Path:
        known = {
            "lib": str(LIBRARY),
            "busybox": str(
                next(path for folder in ("usr/bin", "bin") for path in (self._root / folder).glob("busybox"))
            ),
            "dpkg": shutil.which("dpkg-deb"),
            "path": os.environ["PATH"],
            **{name: str(self._programs / name) for name in ("cpio", "mksquashfs")},
        }
        (self._directory / "arguments.json").write_text(json.dumps({**known, **arguments}), encoding="utf-8")
        expression = (
            f'import {HERE}/closure.nix (builtins.fromJSON (builtins.readFile "{self._directory}/arguments.json"))'
        )
        built = self.run("nix-build", "--no-out-link", "-E", expression, "-A", attr, "--quiet")
        return Path(built.strip())

    def _closure(self, top: Path) -> tuple[Path, frozenset[str]]:
        """What closureInfo of nixpkgs makes."""
        directory = Path(self._directory) / "closure-info"
        directory.mkdir(exist_ok=True)
        paths = sorted(self.run("nix-store", "--query", "--requisites", str(top)).split())
        (directory / "store-paths").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
        (directory / "registration").write_text(self.run("nix-store", "--dump-db", *paths), encoding="utf-8")
        return directory, frozenset(paths)

    def build(self, arguments: dict[str, Any]) -> Image:
        """The software first, unmeasured; then its segment, and the image."""
        closure, paths = self._closure(self._nix_build("toplevel", arguments))
        arguments = {**arguments, "closure": str(closure)}
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self._nix_build("segment", arguments)
        seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Image(self._nix_build("image", arguments), paths, seconds, cpu)
