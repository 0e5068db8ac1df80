# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for QEMU and the image in it: fetches what a boot fetches, says what it is told to say, and stays until it is ended.

tests/system boots real images; this is for what a good image never does. Arguments: a behaviour, then QEMU's own.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request

behaviour, *arguments = sys.argv[1:]
if "-qmp" in arguments:  # the first trial of KVM
    print('{"return": {"status": "running"}}')
    sys.exit()
netdev = next(word for word in arguments if "bootfile=" in word)
boot_url = netdev.partition("bootfile=")[2].replace("10.0.2.2", "127.0.0.1")
base = boot_url.rsplit("/", 2)[0]
console = re.search(r"path=([^ ]+)", " ".join(arguments)).group(1)


def get(path: str) -> str:
    with urllib.request.urlopen(f"{base}{path}") as answer:
        return answer.read().decode()


def post(path: str, body: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{base}{path}", data=body.encode(), method="POST")).close()


def report(image_id: str) -> None:
    told = {"image_id": image_id, "boot_id": "b00t"}
    post("/events", json.dumps({"state": "succeeded", "code": 1002, "message": json.dumps(told)}))


if behaviour == "kvm-breaks" and "kvm" in arguments:
    print("KVM internal error. Suberror: 1", file=sys.stderr, flush=True)
    time.sleep(60)
script = get(boot_url.removeprefix(base))
image_id = re.search(r"nixmetal\.image=(\S+)", script).group(1)
for digest in re.findall(r"blobs/sha256/([0-9a-f]{64})", script):
    get(f"/blobs/sha256/{digest}")
assert get("/metadata")
with open(console, "w", encoding="utf-8") as stream:
    stream.write("\x1b[0mbooting\nlast words\n")
if behaviour == "restarts":
    sys.exit(0)
if behaviour == "garbage":
    post("/events", "{")
    post("/events", '{"code": 1002, "message": "[]"}')
    post("/events", "[1002]")
if behaviour in ("reports", "kvm-breaks", "garbage", "never-ready"):
    report(image_id)
if behaviour == "is-another":
    report("0000-another")
if behaviour in ("reports", "kvm-breaks", "garbage", "is-another", "only-ready"):
    post("/phone-home", "")
time.sleep(60)
