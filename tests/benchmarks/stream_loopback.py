# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and CPU of one stream over the loopback beside plain TCP, interleaved, on a directory of your choice.

    .venv/bin/python tests/benchmarks/stream_loopback.py --megabytes 1100 --runs 5 --directory /dev/shm

Each run is two processes. The stream encrypts, verifies and flushes; plain TCP is what tar and netcat do, without tar.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import calling, rendezvous, source
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import BlobStore
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tls import Identity
from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import make_key_pair

MEGABYTE = 1 << 20
Sides = tuple[Callable[[], None], Callable[[], None]]


def make_image(folder: Path, megabytes: int) -> None:
    """An image of one large file that does not compress."""
    folder.mkdir()
    digest = hashlib.sha256()
    with open(folder / "initrd-00", "wb") as stream:
        for _number in range(megabytes):
            block = os.urandom(MEGABYTE)
            digest.update(block)
            stream.write(block)
    file = {"name": "initrd-00", "role": "initrd", "size": megabytes * MEGABYTE, "sha256": digest.hexdigest()}
    manifest = {"schema": 1, "image_id": "0-benchmark", "system": "x86_64-linux", "kernel_params": [], "files": [file]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def stream_sides(image: Path, dest: Path) -> Sides:
    """The collection's own two sides."""
    keys = {role: make_key_pair(role, 1) for role in ("sender", "receiver")}
    overall = Deadline(600, "the transfer")
    manifest = source.prepare(str(image), "image")
    listener = rendezvous.Listener(
        range(1), "127.0.0.1", Identity(*keys["receiver"], keys["sender"].certificate), "receiver", overall
    )

    def sending() -> None:
        identity = Identity(*keys["sender"], keys["receiver"].certificate)
        target = calling.Target(("127.0.0.1",), listener.port)
        channel = calling.connect(target, identity, "sender", overall, overall)
        channel.silence = 60
        send(channel, source.places(str(image), manifest), 0, Progress())

    def receiving() -> None:
        store = BlobStore(str(dest), manifest)
        store.prepare()
        channel = listener.wait_for_peer(overall)
        channel.silence = 60
        receive(channel, store, store.lacking(remember=True), Progress())

    return sending, receiving


def plain_sides(image: Path, dest: Path) -> Sides:
    """Bytes over TCP and into a file: no encryption, no digest, no flush."""
    server = socket.create_server(("127.0.0.1", 0))

    def sending() -> None:
        view = memoryview(bytearray(MEGABYTE))
        with (
            socket.create_connection(server.getsockname()) as there,
            open(image / "initrd-00", "rb", buffering=0) as file,
        ):
            while count := file.readinto(view):
                there.sendall(view[:count])

    def receiving() -> None:
        view = memoryview(bytearray(MEGABYTE))
        here = server.accept()[0]
        with here, open(dest, "wb", buffering=0) as file:
            while count := here.recv_into(view):
                file.write(view[:count])
        server.close()

    return sending, receiving


def measure(sides: Sides) -> dict[str, float]:
    """Run two sides as processes: wall time, CPU seconds of each, most memory of either."""
    begun = time.monotonic()
    usage = {}
    children = {os.fork() or _child(side): name for name, side in zip(("sender", "receiver"), sides, strict=True)}
    for _number in children:
        pid, status, used = os.wait4(-1, 0)
        if status:
            sys.exit(f"the {children[pid]} failed")
        usage[children[pid]] = used
    memory = max(used.ru_maxrss for used in usage.values())
    cpu = {f"{name}_cpu": used.ru_utime + used.ru_stime for name, used in usage.items()}
    return {"seconds": time.monotonic() - begun, **cpu, "megabytes_of_memory": memory / 1024}


def _child(side: Callable[[], None]) -> int:
    code = 1
    try:
        side()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Measure, and print medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory", default="/dev/shm")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="stream-", dir=options.directory))
    found: dict[str, list[dict[str, float]]] = {"plain TCP": [], "stream": []}
    try:
        make_image(work / "image", options.megabytes)
        for _number in range(options.runs):
            for name, sides in (("plain TCP", plain_sides), ("stream", stream_sides)):
                found[name].append(measure(sides(work / "image", work / "dest")))
                shutil.rmtree(work / "dest") if (work / "dest").is_dir() else (work / "dest").unlink()
    finally:
        shutil.rmtree(work)
    medians = {
        name: {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
        for name, runs in found.items()
    }
    print(json.dumps({"cores": os.cpu_count(), "medians": medians}))


if __name__ == "__main__":
    main()
