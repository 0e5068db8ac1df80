# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository's Markdown pages as a site's sources: the same places, and links that work in both."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

REPOSITORY = "https://github.com/nixmetal/builders"
# Where pages for readers live. Links to other files of the repository go to the repository.
PLACES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs/*/*.md",
    "nix/README.md",
    "roles/*/README.md",
    "extensions/lab/README.md",
)
FRONT = Path("README.md")
IMAGES = ("docs/**/*.svg", "docs/**/*.png")
CODE_OR_LINK = re.compile(r"`[^`]*`|(?<=\]\()([^)\s]+)(?=\))")
FENCE = re.compile(r"^ *(```|~~~)")


def copy_pages(checkout: Path, site: Path, target: Path) -> list[str]:
    """Copies pages and images below `target` and returns the links that lead nowhere, each as `FILE:LINE: ...`."""
    pages = _files(checkout, PLACES, without=site)
    images = _files(checkout, IMAGES, without=site)
    known = {checkout / name for name in (*pages, *images)}
    complaints: list[str] = []
    for name in pages:
        text, problems = _with_links(checkout / name, checkout, known)
        complaints += [f"{name}:{problem}" for problem in problems]
        _write(target / name, text + (site / "navigation.md").read_text(encoding="utf-8") if name == FRONT else text)
    for name in images:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / name, target / name)
    return complaints


def _files(checkout: Path, patterns: tuple[str, ...], without: Path) -> list[Path]:
    found = {path for pattern in patterns for path in checkout.glob(pattern) if without not in path.parents}
    return sorted(path.relative_to(checkout) for path in found)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_links(page: Path, checkout: Path, known: set[Path]) -> tuple[str, list[str]]:
    problems: list[str] = []
    result = ""
    in_code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if FENCE.match(line):
            in_code = not in_code
        result += line if in_code else CODE_OR_LINK.sub(partial(_rewrite, page, checkout, known), line)
        problems += [] if in_code else [f"{number}: {text}" for text in _dead_links(line, page, checkout)]
    return result, problems


def _dead_links(line: str, page: Path, checkout: Path) -> list[str]:
    links = [match[1] for match in CODE_OR_LINK.finditer(line) if match[1]]
    paths = {link: _path(link, page) for link in links}
    return [
        f"the link {link} leads nowhere"
        for link, path in paths.items()
        if path is not None and not (path.exists() and path.is_relative_to(checkout))
    ]


def _rewrite(page: Path, checkout: Path, known: set[Path], match: re.Match[str]) -> str:
    link = match[1]
    path = _path(link, page) if link else None
    if path is None or path in known or not path.is_relative_to(checkout):
        return match[0]
    kind = "tree" if path.is_dir() else "blob"
    anchor = link[link.index("#") :] if "#" in link else ""
    return f"{REPOSITORY}/{kind}/main/{path.relative_to(checkout)}{anchor}"


def _path(link: str, page: Path) -> Path | None:
    """The file that a relative link means; None for one within the page or out into the world."""
    name = link.partition("#")[0]
    return None if not name or re.match(r"[a-z]+:", name) else (page.parent / name).resolve()
