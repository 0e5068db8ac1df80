# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage molecule: every scenario under extensions/molecule, on the localhost and without containers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from commands import CHECKOUT, TOOLS, environment, run
from outcome import Outcome

FOLDER = CHECKOUT / "extensions" / "molecule"


def molecule() -> Outcome:
    """One test for each scenario: create, converge, converge again without a change, verify, destroy."""
    outcome = Outcome("molecule")
    # Molecule keeps its files below HOME. Its own folder there has a short path without spaces, whatever the checkout's is.
    with tempfile.TemporaryDirectory(prefix="nixmetal-molecule-") as home:
        _play_all(outcome, Path(home))
    return outcome


def _play_all(outcome: Outcome, home: Path) -> None:
    env = environment(
        home=home,
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
