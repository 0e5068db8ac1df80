# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as ansible_collections.nixmetal.builders, the way Ansible itself imports it."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# Read by Ansible when it is first imported: a configuration of the user must not decide what the tests see.
os.environ["ANSIBLE_CONFIG"] = str(CHECKOUT / "ansible.cfg")
os.environ.setdefault("ANSIBLE_LOCAL_TEMP", str(CHECKOUT / ".cache" / "ansible-tmp"))

from ansible.plugins.loader import init_plugin_loader  # noqa: E402  (reads the environment set above)

# Ansible's own importer, so that plugins, fragments and redirects are found as in a real run. It stands as soon as this file
# is read: the conftest.py of a directory below is read next, and may import the collection at its top.
init_plugin_loader([str(CHECKOUT / ".collections")])
