# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage molecule: every scenario under extensions/molecule, on the localhost and without containers."""

from __future__ import annotations

import os

from commands import CACHE, CHECKOUT, TOOLS, environment, run
from outcome import Outcome

FOLDER = CHECKOUT / "extensions" / "molecule"


def molecule() -> Outcome:
    """One test for each scenario: create, converge, converge again without a change, verify, destroy."""
    outcome = Outcome("molecule")
    env = environment(
        home=CACHE / "home",
        ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".collections"),
        MOLECULE_GLOB=str(FOLDER / "*" / "molecule.yml"),
    )
    for scenario in sorted(FOLDER.glob(f"{os.environ.get('SCENARIO') or '*'}/molecule.yml")):
        name = scenario.parent.name
        print(f"--- molecule test {name}")
        code = run([str(TOOLS / "molecule"), "test", "--scenario-name", name], env, CHECKOUT / "extensions")
        if code == 0:
            outcome.passed += 1
        else:
            outcome.add_failure(name)
    return outcome
