# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation site's sources: links that work in both places, and links that lead nowhere are told."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
SOURCES = "https://github.com/nixmetal/builders"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", CHECKOUT / "docs/site/pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "README.md": "# Front\n",
        "docs/one.md": "# One\n",
        "docs/site/navigation.md": "navigation\n",
        "docs/picture.svg": "<svg/>\n",
        "roles/a/README.md": "# a\n",
        "nix/plans/x.json": "{}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def copied(pages: ModuleType, project: Path, text: str) -> tuple[str, list[str]]:
    (project / "docs/one.md").write_text(text)
    complaints = pages.copy_pages(project, project / "docs/site", project / "out")
    return (project / "out/docs/one.md").read_text(), complaints


@pytest.mark.parametrize(
    "link",
    [
        "../README.md",
        "../roles/a/README.md#anchor",
        "picture.svg",
        "#here",
        "https://example.org/x",
        "mailto:a@example.org",
    ],
)
def test_a_link_to_a_page_an_image_or_the_world_stays(pages: ModuleType, project: Path, link: str) -> None:
    assert copied(pages, project, f"[x]({link})\n") == (f"[x]({link})\n", [])


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("../nix/plans/x.json", f"{SOURCES}/blob/main/nix/plans/x.json"),
        ("../nix/plans", f"{SOURCES}/tree/main/nix/plans"),
        ("../nix/plans/x.json#L1", f"{SOURCES}/blob/main/nix/plans/x.json#L1"),
    ],
)
def test_a_link_to_another_file_goes_to_the_repository(
    pages: ModuleType, project: Path, link: str, target: str
) -> None:
    assert copied(pages, project, f"[x]({link})\n") == (f"[x]({target})\n", [])


@pytest.mark.parametrize("link", ["gone.md", "../../outside.md", "/etc/passwd"])
def test_a_link_that_leads_nowhere_is_told_with_its_line(pages: ModuleType, project: Path, link: str) -> None:
    assert copied(pages, project, f"# One\n\n[x]({link})\n")[1] == [f"docs/one.md:3: the link {link} leads nowhere"]


@pytest.mark.parametrize("text", ["`[a](gone.md)`\n", "```\n[a](gone.md)\n```\n", "~~~yaml\n[a](gone.md)\n~~~\n"])
def test_code_is_left_alone(pages: ModuleType, project: Path, text: str) -> None:
    assert copied(pages, project, text) == (text, [])


def test_the_front_page_carries_the_navigation(pages: ModuleType, project: Path) -> None:
    assert pages.copy_pages(project, project / "docs/site", project / "out") == []
    assert (project / "out/README.md").read_text() == "# Front\nnavigation\n"
    assert (project / "out/docs/picture.svg").read_text() == "<svg/>\n"
