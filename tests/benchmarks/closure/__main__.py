# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A large closure through the whole of nix/lib: cut path by path, listed, fetched as stage 1 does, laid under a store and checked by Nix.

python tests/benchmarks/closure DEBS [--directory DIR] [--suite SUITE] [--level LEVEL] [--updated PACKAGE]

DEBS holds Debian packages, as `apt-get install --download-only` leaves them; each becomes a store path that refers to those it depends on.
DIR (default /var/tmp) needs some four times what they unpack to. Three images are built: one, one with a changed setting, and one
with PACKAGE built anew, and with it all that depends on it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "stages")]

import nix_root  # noqa: E402  (found by the path set above)
from images import Image, Images  # noqa: E402
from machine import assemble, served  # noqa: E402
from packages import in_order  # noqa: E402


@contextmanager
def place(directory: Path) -> Iterator[Path]:
    """A directory for the store, and nothing left of it; files of a store can't be written to."""
    made = Path(tempfile.mkdtemp(prefix="nixmetal-closure-", dir=directory))
    try:
        yield made
    finally:
        for folder in [made, *(path for path in made.rglob("*") if path.is_dir() and not path.is_symlink())]:
            folder.chmod(0o700)
        shutil.rmtree(made)


def told(name: str, image: Image, before: Image | None) -> None:
    """A row of the table."""
    known = before.pieces if before else {}
    new = {digest: size for digest, size in image.pieces.items() if digest not in known}
    cells = [
        name,
        f"{len(image.new_paths(before))} of {len(image.paths)}",
        f"{image.size / 1e6:.1f}",
        f"{sum(new.values()) / 1e6:.2f} MB in {len(new)} of {len(image.pieces)} pieces",
        f"{image.seconds:.1f}",
        f"{image.cpu:.1f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Build, print a table in Markdown, and boot what was built as far as a store goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debs", type=Path)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--suite", default=nix_root.OLDEST)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--updated", default="libssl3")
    options = parser.parse_args()
    root = nix_root.provide(options.suite)
    if root is None:
        sys.exit("there is no Nix to build with")
    packages = in_order(options.debs)
    common: dict[str, Any] = {"packages": packages, "level": options.level, "setting": "one"}
    with place(options.directory) as directory:
        images = Images(root, directory)
        print(f"{images.versions()}; {len(packages)} packages; zstd level {options.level}\n")
        print("| image | new paths | MB | new bytes | seconds to cut | CPU seconds |\n|---|---|---|---|---|---|")
        first = images.build(common)
        told("the first", first, None)
        told("a setting changed", images.build({**common, "setting": "two"}), first)
        told(f"{options.updated} built anew", images.build({**common, "updated": options.updated}), first)
        print()
        with served(first.directory, directory) as url:
            print(json.dumps(assemble(images, first, directory, url), indent=2))


if __name__ == "__main__":
    main()
