# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what publishing costs, for an image of 1.1 GB: each module run as a process of its own, with its imports.

python tests/benchmarks/publish.py [--directory DIR] [--megabytes N] [--runs N]

DIR is where the store is made, on the file system to be measured (default: /dev/shm). Needs twice the image's size there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
BLOBS = 20
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible.module_utils.testing import patch_module_args
from importlib import import_module
module = import_module(f"ansible_collections.nixmetal.builders.plugins.modules.{sys.argv[2]}")
with patch_module_args(json.loads(sys.argv[3])):
    module.main()
"""


def bring(root: Path, number: int, size: int, verified: bool) -> None:
    """Blobs of an image, as the stream leaves them; all but one of each image's are the same."""
    sys.path.insert(0, str(CHECKOUT / ".collections"))
    from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import remember_verified

    files = []
    (root / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for index in range(BLOBS):
        seed = f"{index} {number if index == BLOBS - 1 else 0}".encode()
        content = hashlib.shake_128(seed).digest(1 << 16) * (size // BLOBS >> 16)
        digest = hashlib.sha256(content).hexdigest()
        path = root / "blobs/sha256" / digest
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o444)
        if verified:
            remember_verified(str(root), digest, path.stat())
        name = "kernel" if index == 0 else f"initrd-{index:02d}"
        files.append({"name": name, "role": name.split("-", maxsplit=1)[0], "size": len(content), "sha256": digest})
    manifest = {
        "schema": 1,
        "image_id": f"image-{number}",
        "system": "x86_64-linux",
        "kernel_params": [],
        "files": files,
    }
    staged = root / ".state/staging" / f"image-{number}"
    staged.mkdir(parents=True, exist_ok=True)
    (staged / "manifest.json").write_text(json.dumps(manifest))


def run(module: str, arguments: dict[str, Any]) -> tuple[float, float, dict[str, Any]]:
    """Seconds, CPU seconds and the result."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", RUN, str(CHECKOUT / ".collections"), module, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(done.stdout)
    assert not result.get("failed"), result
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


def blobs(root: Path) -> dict[str, tuple[int, int, int]]:
    """Each blob with what changes when it is written."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size)
        for path in (root / "blobs/sha256").iterdir()
    }


def once(root: Path, size: int) -> dict[str, tuple[float, float]]:
    """Each step once, on a fresh store."""
    publish = {"root": str(root), "channel": "stable", "base_url": "http://web.example.org"}
    found: dict[str, tuple[float, float]] = {}

    def measured(name: str, module: str, arguments: dict[str, Any], changed: bool) -> None:
        *times, result = run(module, arguments)
        assert result["changed"] is changed, (name, result)
        found[name] = (times[0], times[1])

    bring(root, 0, size, verified=False)
    measured("first, nothing verified yet", "netboot_release", {**publish, "image_id": "image-0"}, True)
    measured("unchanged", "netboot_release", {**publish, "image_id": "image-0"}, False)
    before = blobs(root)
    bring(root, 1, size, verified=True)
    new = set(blobs(root)) - set(before)
    assert len(new) == 1, "one blob in twenty is another"
    measured("5 % changed, as streamed", "netboot_release", {**publish, "image_id": "image-1"}, True)
    assert {name: known for name, known in blobs(root).items() if name not in new} == before, "an old blob was written"
    measured("a step back", "netboot_release", {"root": str(root), "channel": "stable", "release_id": "previous"}, True)
    measured("nothing to prune", "netboot_prune", {"root": str(root), "keep_image_ids": []}, False)
    measured("status page", "netboot_status", {"root": str(root)}, True)
    measured("verify all", "netboot_release_info", {"root": str(root), "verify": True}, False)
    return found


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--megabytes", type=int, default=1100)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    results = []
    for _number in range(options.runs):
        root = Path(tempfile.mkdtemp(dir=options.directory))
        try:
            results.append(once(root, options.megabytes * 1_000_000))
        finally:
            shutil.rmtree(root)
    print(
        f"{options.megabytes} MB in {BLOBS} blobs on {options.directory}, {os.cpu_count()} cores, {options.runs} runs\n"
    )
    print("| publication | seconds, median | least - most | CPU seconds |\n|---|---|---|---|")
    for name in results[0]:
        seconds, cpu = ([result[name][index] for result in results] for index in (0, 1))
        print(
            f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} - {max(seconds):.2f} | {statistics.median(cpu):.2f} |"
        )


if __name__ == "__main__":
    main()
