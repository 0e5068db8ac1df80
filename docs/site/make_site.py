# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the documentation site into dist/docs/html: `make docs`.

The repository's own pages are copied with their places, the reference of plugins and roles is written by antsibull-docs from what
`ansible-doc` shows. A link that leads nowhere, and each warning of Sphinx, is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import copy_pages

SITE = Path(__file__).resolve().parent
CHECKOUT = SITE.parent.parent
OUTPUT = CHECKOUT / "dist" / "docs"
CONTENTS = re.compile(r"^\.\. contents::\n(?: +:.*\n)*", re.MULTILINE)
TOOLS = Path(sys.executable).parent


def main() -> int:
    """Exit code 0 when the site is whole."""
    source = OUTPUT / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    complaints = copy_pages(CHECKOUT, SITE, source)
    for complaint in complaints:
        print(f"docs: {complaint}", file=sys.stderr)
    if complaints:
        return 1
    _write_reference(source / "reference")
    html = OUTPUT / "html"
    _run(
        "sphinx-build", "-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "-c", str(SITE), str(source), str(html)
    )
    shutil.copyfile(html / "README.html", html / "index.html")
    print(f"docs: {html / 'index.html'}")
    return 0


def _write_reference(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    command = ["collection", "--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", str(folder)]
    _run("antsibull-docs", "--config-file", str(SITE / "antsibull-docs.cfg"), *command, "nixmetal.builders")
    for page in folder.glob("*.rst"):
        # The theme shows a page's contents beside it and refuses a second list of them.
        page.write_text(CONTENTS.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def _run(tool: str, *arguments: str) -> None:
    env = dict(os.environ, PATH=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}", NO_COLOR="1")
    env["ANSIBLE_COLLECTIONS_PATH"] = str(CHECKOUT / ".collections")
    subprocess.run([str(TOOLS / tool), *arguments], cwd=CHECKOUT, env=env, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"docs: {Path(error.cmd[0]).name} ended with {error.returncode}; what it found stands above")
