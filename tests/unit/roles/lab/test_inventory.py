# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""inventories/lab is what the role's templates say with the role's own defaults. Run this file to write it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
ROLE = CHECKOUT / "roles/lab"
NEEDED = [
    "lab_name",
    "lab_directory",
    "lab_cache_directory",
    "lab_subnet",
    "lab_backend",
    "lab_api_port",
    "lab_auth_token",
]
NEEDED += ["lab_project_id", "lab_bid_count", "lab__network_prefix", "lab__cloud_address"]


def settings() -> dict[str, Any]:
    """The defaults that the templates use, one made from another as Ansible would."""
    raw = {}
    for part in ("defaults", "vars"):
        raw.update(yaml.safe_load((ROLE / part / "main.yml").read_text(encoding="utf-8")))
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701
    jinja.filters["dirname"] = lambda path: str(Path(path).parent)
    values: dict[str, Any] = {}
    for name in NEEDED:
        values[name] = jinja.from_string(str(raw[name])).render(values)
    addresses = {host: jinja.from_string(text).render(values) for host, text in raw["lab__addresses"].items()}
    return {**values, "lab__addresses": addresses}


def rendered() -> dict[str, str]:
    templates = ROLE / "templates/inventory"
    jinja = jinja2.Environment(  # noqa: S701
        variable_start_string="[%",
        variable_end_string="%]",
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    values = settings()
    paths = [path.relative_to(templates) for path in sorted(templates.rglob("*.j2"))]
    return {
        str(path.with_suffix("")): jinja.from_string((templates / path).read_text()).render(values) for path in paths
    }


def test_every_template_is_rendered_by_the_role() -> None:
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    assert sorted(variables["lab__inventory_paths"]) == sorted(rendered())


@pytest.mark.parametrize("path", sorted(rendered()))
def test_inventories_lab_is_what_the_templates_say(path: str) -> None:
    assert (CHECKOUT / "inventories/lab" / path).read_text(encoding="utf-8") == rendered()[path]


def test_inventories_lab_holds_nothing_else() -> None:
    root = CHECKOUT / "inventories/lab"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == sorted(rendered())


if __name__ == "__main__":
    for name, text in rendered().items():
        target = CHECKOUT / "inventories/lab" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
