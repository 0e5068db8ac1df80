# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which docs/web-servers.md copies a store to a bucket, which has no links: no boot from it is mixed or incomplete."""

from __future__ import annotations

import http.client
import http.server
import random
import re
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest
from busy_store import boot, settings, stage

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import (
    image_of,
    promotion,
    staged_manifest,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, switch

PAGE = Path(__file__).resolve().parents[5] / "docs" / "web-servers.md"
# Stands in for rclone: copies to a directory, each file under its final name by one rename.
RCLONE = """#!/bin/sh -e
command=$1; shift
immutable=; exclude=
while :; do
  case $1 in
    --immutable) immutable=yes; shift ;;
    --exclude) exclude=$2; shift 2 ;;
    --header-upload) shift 2 ;;
    *) break ;;
  esac
done
target=$BUCKET/${2#bucket:netboot/}
put() {
  if [ -n "$immutable" ] && [ -e "$2" ]; then cmp "$1" "$2"; return; fi
  mkdir -p "${2%/*}"; cp "$1" "$2.part"; mv "$2.part" "$2"
}
if [ "$command" = copyto ]; then put "$1" "$target"; exit; fi
find "$1" -type f | while read -r file; do
  [ "${file##*/}" = "$exclude" ] || put "$file" "$target/${file#"$1"/}"
done
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.mark.skipif(not shutil.which("cmp"), reason="there is no cmp here")
def test_boots_from_a_bucket_while_it_is_copied_to(tmp_path: Path) -> None:
    root, bucket = tmp_path / "web", tmp_path / "bucket"
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / ".state").mkdir()
    bucket.mkdir()
    program = tmp_path / "rclone"
    program.write_text(RCLONE)
    program.chmod(0o755)
    found = re.search(r"```sh\n(cd /srv/netboot\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    copy = "set -e\n" + found[1].replace("/srv/netboot", str(root))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BUCKET": str(bucket)}

    def publish(number: int) -> None:
        image_id = stage(root, number)
        switch(Writer(str(root)), "canary", image_of(staged_manifest(str(root), image_id), settings("canary")))
        switch(Writer(str(root)), "stable", promotion(str(root), "canary", None, settings("stable")))
        subprocess.run(["sh", "-c", copy], env=environment, check=True)

    publish(0)
    assert not list(bucket.rglob(".*"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(bucket)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    releases, failures, stop = set(), [], threading.Event()

    def machine() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        while not stop.is_set():
            try:
                releases.add(boot(connection, random.choice(["canary", "stable"]))[0])
            except (AssertionError, OSError) as error:
                failures.append(str(error))
                connection.close()

    machines = [threading.Thread(target=machine) for _number in range(2)]
    for one in machines:
        one.start()
    for number in range(1, 8):
        publish(number)
    stop.set()
    for one in machines:
        one.join()
    server.shutdown()
    server.server_close()
    assert failures == []
    assert len(releases) > 2
