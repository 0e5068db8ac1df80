# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was done about machines that are taken back, as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import counted, wrapped

Json = Mapping[str, Any]


def reclaim_lines(leaving: Mapping[str, str], fleet: str, done: Json, check_mode: bool = False) -> list[str]:
    """Each machine that goes; what became of each machines file; who is new in the memory; what was bought, and what it may cost."""
    if not leaving:
        return wrapped(f"No machine of the fleet {fleet} will be reclaimed soon.")
    lines = [f"{counted(len(leaving), 'machine')} of the fleet {fleet} {'goes' if len(leaving) == 1 else 'go'} soon"]
    for name, reason in sorted(leaving.items()):
        lines += [f"  {name}", f"    {reason}"]
    for host, outcome in sorted(done["files"].items()):
        lines += wrapped(f"Machines file of {host}: {_file(outcome, check_mode)}")
    return lines + _memory(done["new"], check_mode) + _bought(done, check_mode)


def _file(outcome: str, check_mode: bool) -> str:
    words = {
        "same": "as before, without them",
        "changed": "would be written without them" if check_mode else "written without them",
        "newer": "left as it is, for it was written from a newer reading; run this again",
    }
    return words.get(outcome, "NOT written, see above; they may still get builds. Run this again")


def _memory(new: Sequence[str], check_mode: bool) -> list[str]:
    if not new:
        return ["Remembered and told before: all of them"]
    return wrapped(
        f"{'Would be remembered' if check_mode else 'Remembered'}: {counted(len(new), 'machine')} of which nothing was known"
    )


def _bought(done: Json, check_mode: bool) -> list[str]:
    """Only single machines of declared bids are bought anew, one for each of a bid that goes; `bought` has one result for each bid."""
    numbers = {
        result["bid"]["name"]: (len(result["bid"].get("leaving", ())), result["bid"]["max_bid_usd_per_hour"])
        for result in done["bought"]
        if result["changed"]
    }
    number = sum(own for own, _price in numbers.values())
    if number:
        most = sum(own * price for own, price in numbers.values())
        names = ", ".join(sorted(name for name, (own, _price) in numbers.items() if own))
        verb = "Would be bought" if check_mode else "Bought"
        return wrapped(f"{verb} anew: {counted(number, 'machine')} ({names}), at most {most:.2f} USD per hour")
    if done["singles"]:
        return wrapped(
            f"Nothing bought for {counted(done['singles'], 'machine')} of no request: builder_reclaim_replace is false, or no bid declares "
            "them, or it is paused"
        )
    return wrapped("Nothing bought: a live request and the autoscaler replace their own machines")
