# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stage 1 does with an image's segment, without a machine: fetch and verify it, make a store of it, and let Nix check every path."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images import LIBRARY, Image, Images


class Quiet(http.server.SimpleHTTPRequestHandler):
    """No line for each request."""

    def log_message(self, *_words: Any) -> None:
        """Quiet."""


@contextmanager
def served(image: Path, directory: Path) -> Iterator[str]:
    """A web server with the image's segment under its digest, as a published release has it."""
    blobs = directory / "blobs"
    blobs.mkdir()
    for line in segment_list(image):
        name, _size, digest = line.split()
        (blobs / digest).symlink_to(image / name)
    handler = functools.partial(Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/blobs"
    finally:
        server.shutdown()


def segment_list(image: Path) -> list[str]:
    """The list in the first initrd, which is text between zeros."""
    words = (image / "initrd-00").read_bytes().split(b"\0")
    return next(word for word in words if b".squashfs " in word).decode().strip().splitlines()


def assemble(images: Images, image: Image, directory: Path, url: str) -> dict[str, Any]:
    """Seconds of each step, and what Nix says of the store."""
    found: dict[str, Any] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        found[f"{name}, seconds"] = round(time.monotonic() - begin, 1)

    segments, listed, words = directory / "segments", directory / "list", directory / "cmdline"
    listed.write_text("".join(f"{line}\n" for line in segment_list(image.directory)), encoding="utf-8")
    words.write_text(f"quiet nixmetal.blobs={url}\n", encoding="utf-8")
    places = {
        "NIXMETAL_SEGMENTS": str(listed),
        "NIXMETAL_SEGMENT_DIRECTORY": str(segments),
        "NIXMETAL_CMDLINE": str(words),
    }
    with timed("fetched and verified"):
        images.run("sh", str(LIBRARY / "fetch-segments.sh"), **places)
    # Nix knows a path by its full name: the machine's store has to stand where the build host's stood.
    images.store.rename(directory / "build-host-store")
    machine = {"NIX_STATE_DIR": str(directory / "machine-state")}
    with timed("unpacked into a store on disk"):
        images.run("sh", str(LIBRARY / "unpack-store.sh"), str(directory), **places)
    with timed("registered"), (directory / "nix/.nix-path-registration").open(encoding="utf-8") as registration:
        subprocess.run(
            ["nix-store", "--load-db"], env={**images.environment, **machine}, stdin=registration, check=True
        )
    with timed("checked by Nix, each path's hash"):
        images.run("nix-store", "--verify", "--check-contents", **machine)
    valid = images.run("nix-store", "--query", "--requisites", *sorted(image.paths), **machine).split()
    assert frozenset(valid) == image.paths
    found["paths that are what they were on the build host"] = len(valid)
    return found
