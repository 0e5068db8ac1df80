# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx's settings for the documentation site, which `make docs` builds."""

from __future__ import annotations

from typing import Any

from docutils import nodes

project = "nixmetal.builders"
html_title = "nixmetal.builders"
project_copyright = "2026, nixmetal.builders contributors"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "README"
myst_heading_anchors = 4

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/nixmetal/builders/",
    "source_branch": "main",
    "top_of_page_buttons": [],
}
pygments_style = "friendly"
pygments_dark_style = "native"
highlight_language = "text"

ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
ANSIBLE_PAGES = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "action_plugins": "plugins/action.html",
}


def link_to_ansible(_app: Any, _env: Any, node: Any, text: nodes.Node) -> nodes.reference | None:
    """What the reference names of Ansible's own documentation; an inventory of its labels would have to be fetched."""
    label = str(node.get("reftarget"))
    page = ANSIBLE_PAGES.get(label)
    if label.startswith("ansible_collections.ansible.builtin."):
        page = f"collections/ansible/builtin/{label.rsplit('.', 1)[1]}.html"
    return nodes.reference("", "", text, refuri=f"{ANSIBLE}/{page}", internal=False) if page else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", link_to_ansible)
