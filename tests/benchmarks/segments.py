# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU seconds and bytes of a closure's segment at each level of zstd, as docs/segments.md tells them.

python tests/benchmarks/segments.py DIRECTORY [LEVEL...]

Each entry of DIRECTORY counts as a store path. Needs mksquashfs on PATH.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "nix/lib"
LEVELS = ("1", "3", "6", "9", "12", "15", "19", "22")


def spent() -> float:
    """Of all processes that have ended, which what else the machine does hardly changes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cut(closure: Path, level: str, directory: Path) -> tuple[float, int, int]:
    """CPU seconds, bytes of the segment, and bytes of its last piece, the tables."""
    out, pieces = directory / "out", directory / "pieces"
    environment = {
        "PATH": os.environ["PATH"],
        "mksquashfs": "mksquashfs",
        "cpio": "false",
        "segment": "90-system",
        "closure": str(closure),
        "without": "",
        "tree": "",
        "fetched": "1",
        "compression": f"-comp zstd -Xcompression-level {level}",
        "out": str(out),
        "pieces": str(pieces),
    }
    begin = spent()
    subprocess.run(["sh", str(LIBRARY / "cut-segment.sh")], cwd=directory, env=environment, check=True)
    return spent() - begin, out.stat().st_size, int(pieces.read_text(encoding="ascii").split()[-1])


def main(store: str, *levels: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        closure = Path(directory) / "closure"
        closure.mkdir()
        paths = sorted(Path(store).resolve().iterdir())
        (closure / "store-paths").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
        (closure / "registration").write_text("registration\n", encoding="utf-8")
        for level in levels or LEVELS:
            with tempfile.TemporaryDirectory() as place:
                seconds, size, tables = cut(closure, level, Path(place))
            print(f"{level:>2}  {seconds:6.1f} s  {size / 1e6:7.1f} MB, of these tables {tables / 1e6:.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
