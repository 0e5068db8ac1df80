# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One side of a stream on a lab host, as the collection's modules run it, but in the foreground.

side.py sender|receiver FOLDER: reads a line of JSON, {layout, src or dest, manifest, identity, connections}; a receiver
prints its port, a sender reads it; both print what was counted.
"""

from __future__ import annotations

import json
import resource
import sys

sys.path.insert(0, sys.argv[2])

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import calling, layouts, plan, rendezvous, source
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tls import Identity


def read() -> dict:
    return json.loads(sys.stdin.readline())


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def sender(order: dict, progress: Progress) -> None:
    manifest = source.prepare(order["src"], order["layout"])
    places = source.places(order["src"], manifest)
    target = read()
    if not target["port"]:
        return
    overall = Deadline(600, "the transfer")
    there = calling.Target((target["address"],), target["port"], order["connections"])
    channel = calling.connect(there, Identity(*order["identity"]), "sender", overall, overall)
    channel.silence = 60
    send(channel, places, 0, progress)
    channel.close()


def receiver(order: dict, progress: Progress) -> None:
    manifest = layouts.read_manifest(order["layout"], order["manifest"])
    store = layouts.open_store(order["layout"], order["dest"], manifest)
    store.prepare()
    lacking = store.lacking(remember=True)
    if not lacking:
        tell(port=0)
        store.finish()
        return
    plan.check_space(store, lacking)
    overall = Deadline(600, "the transfer")
    listener = rendezvous.Listener(range(1), "", Identity(*order["identity"]), "receiver", overall)
    tell(port=listener.port)
    channel = listener.wait_for_peer(overall)
    channel.silence = 60
    receive(channel, store, lacking, progress)
    channel.close()


def main() -> None:
    progress = Progress()
    {"sender": sender, "receiver": receiver}[sys.argv[1]](read(), progress)
    used = resource.getrusage(resource.RUSAGE_SELF)
    tell(
        sent=progress.bytes_sent,
        reused=progress.bytes_reused,
        cpu=round(used.ru_utime + used.ru_stime, 3),
        megabytes=used.ru_maxrss // 1024,
    )


if __name__ == "__main__":
    main()
