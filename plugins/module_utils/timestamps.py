# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as they are written down: UTC, to the second."""

from __future__ import annotations

import datetime

FORM = "%Y-%m-%dT%H:%M:%SZ"


def stamp(when: float) -> str:
    """Seconds since the epoch as text."""
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime(FORM)


def parse(text: object) -> float | None:
    """The text as seconds since the epoch; None when it is no such time."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.datetime.strptime(text, FORM).replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        return None


def parse_any(text: object) -> float | None:
    """Any RFC 3339 time as seconds since the epoch; None when it is none, or tells no zone."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()
