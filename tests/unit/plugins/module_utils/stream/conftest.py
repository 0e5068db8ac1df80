# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two sides of a transfer over real TLS on the loopback, and images to send."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # imported for good only in fixtures: pytest may read this file before Ansible's importer is there
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.protocol import Channel
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tls import Identity
    from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import KeyPair

Contents = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Keys:
    """Certificates of both sides, and of somebody else."""

    sender: KeyPair
    receiver: KeyPair
    stranger: KeyPair

    @property
    def of_sender(self) -> Identity:
        """What the sender is given."""
        return _identity(self.sender, self.receiver)

    @property
    def of_receiver(self) -> Identity:
        """What the receiver is given."""
        return _identity(self.receiver, self.sender)

    @property
    def of_stranger(self) -> Identity:
        """Somebody with another certificate, who accepts the receiver's."""
        return _identity(self.stranger, self.receiver)


def _identity(own: KeyPair, peer: KeyPair) -> Identity:
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tls import Identity

    return Identity(*own, peer.certificate)


@pytest.fixture(scope="session")
def keys() -> Keys:
    """Made once: each transfer would have its own."""
    from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import make_key_pair

    return Keys(*(make_key_pair(name, 1) for name in ("sender", "receiver", "stranger")))


@dataclasses.dataclass
class Link:
    """Both ends of one connection."""

    sender: Channel
    receiver: Channel


@pytest.fixture
def connections() -> int:
    """Over how many connections the two sides speak; a test that is parametrized with it has others."""
    return 1


@pytest.fixture
def link(keys: Keys, connections: int) -> Iterator[Link]:
    """Two channels that have greeted each other."""
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream import calling, rendezvous
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline

    overall = Deadline(30, "the transfer")
    listener = rendezvous.Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall)
    target = calling.Target(("127.0.0.1",), listener.port, connections)
    found: list[Channel] = []
    thread = threading.Thread(target=lambda: found.append(listener.wait_for_peer(Deadline(10, "the wait"))))
    thread.start()
    sending = calling.connect(target, keys.of_sender, "sender", Deadline(10, "connecting"), overall)
    thread.join()
    made = Link(sending, found[0])
    yield made
    made.sender.close()
    made.receiver.close()


@dataclasses.dataclass
class Ended:
    """How a transfer ended on both sides."""

    progress: Progress
    changed: bool | None
    receiver_error: StreamError | None
    sender_error: StreamError | None


Transfer = Callable[..., Ended]


@pytest.fixture
def transfer(link: Link) -> Transfer:
    """Send a directory into a destination, both sides in this process. Once for each test: a connection serves once."""
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream import source
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.layouts import open_store
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
    from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send

    def run(src: Path, dest: Path, layout: str = "image", limit: int = 0) -> Ended:
        manifest = source.prepare(str(src), layout)
        store = open_store(layout, str(dest), manifest)
        store.prepare()
        lacking = store.lacking(remember=True)
        ended = Ended(Progress(), None, None, None)

        def sending() -> None:
            try:
                send(link.sender, source.places(str(src), manifest), limit, Progress())
            except StreamError as error:
                ended.sender_error = error
                link.sender.close()

        thread = threading.Thread(target=sending)
        thread.start()
        try:
            ended.changed = receive(link.receiver, store, lacking, ended.progress)
        except StreamError as error:
            ended.receiver_error = error
            link.receiver.close()
        thread.join()
        store.close()
        return ended

    return run


def manifest_of(
    files: Contents, image_id: str = "0123abcd-image", cuts: dict[str, int] | None = None
) -> dict[str, object]:
    """An honest manifest; cuts gives the size of pieces by file name."""
    entries = []
    for name, content in files.items():
        entry: dict[str, object] = {
            "name": name,
            "role": "kernel" if name == "kernel" else "initrd",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        step = (cuts or {}).get(name)
        if step:
            ranges = [content[start : start + step] for start in range(0, len(content), step)]
            entry["pieces"] = [{"size": len(part), "sha256": hashlib.sha256(part).hexdigest()} for part in ranges]
        entries.append(entry)
    return {"schema": 1, "image_id": image_id, "system": "x86_64-linux", "kernel_params": ["quiet"], "files": entries}


ImageMaker = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> ImageMaker:
    """Write an image directory."""

    def make(files: Contents, name: str = "image", cuts: dict[str, int] | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        (folder / "manifest.json").write_text(json.dumps(manifest_of(files, f"0123abcd-{name}", cuts), indent=1))
        return folder

    return make


@pytest.fixture
def noise() -> Callable[[int], bytes]:
    """Bytes that do not compress, the same in every run."""
    return random.Random(4).randbytes


@pytest.fixture
def blobs() -> Callable[[Path], dict[str, bytes]]:
    """What a blob store holds, by digest."""

    def read(dest: Path) -> dict[str, bytes]:
        folder = dest / "blobs" / "sha256"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return read


@pytest.fixture(autouse=True)
def no_descriptor_left() -> Iterator[None]:
    """Nothing that a test opened stays open."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= before + 4
