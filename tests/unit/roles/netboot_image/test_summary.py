# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What build.yml tells at its end of an image that is not built yet: all of it fits a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "roles"))
import shown  # noqa: E402

HASH = "4cz7bwvs2cr15l85jaa3xh58jgb557v1"


def test_what_is_to_be_built_is_told_in_lines_that_fit(tmp_path: Path) -> None:
    built = [f"/nix/store/{HASH}-segment-{number}-libraries.drv" for number in range(9)]
    known: dict[str, Any] = {
        "netboot_image__web": {},
        "netboot_image__plan": {"out_path": f"/nix/store/{HASH}-image", "built": built, "fetched": []},
        "netboot_image__built": {},
        "netboot_image__before": "",
        "netboot_image__seconds": 3,
        "netboot_image_build_host": "hydra-with-a-long-name.example.org",
    }
    template = CHECKOUT / "roles/netboot_image/templates/summary.j2"
    say = {"ansible.builtin.debug": {"msg": f"{{{{ lookup('ansible.builtin.template', '{template}') | trim }}}}"}}
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": known, "tasks": [say]}]), encoding="utf-8"
    )
    command = [sys.executable, "-m", "ansible", "playbook", "--check", str(playbook)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    flat = " ".join(done.stdout.split())
    assert "To build 9 derivations on hydra-with-a-long-name.example.org: segment-0-libraries, segment-1-" in flat
    assert "segment-7-libraries, ... To fetch 0 paths" in flat
    assert shown.too_wide(done.stdout) == []
