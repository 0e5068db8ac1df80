# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what may be absent, null or of another kind than promised, without a surprise."""

from __future__ import annotations

import datetime
import re
from typing import Any


def text(value: Any) -> str | None:
    """A string that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def matching(pattern: re.Pattern[str], value: Any) -> str | None:
    """A string that a pattern fits from end to end, or None."""
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def number(value: Any) -> float | None:
    """A number, also one that was sent as a string, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) < float("inf") else None


def integer(value: Any) -> int | None:
    """A whole number, or None."""
    result = number(value)
    return int(result) if result is not None and result == int(result) else None


def texts(value: Any) -> list[str]:
    """The strings of a list that are not empty."""
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, (list, tuple)) else []


def only_texts(value: Any) -> list[str] | None:
    """A list that holds nothing but strings, without the empty ones, or None."""
    sound = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return texts(value) if sound else None


def only_objects(value: Any) -> list[dict[str, Any]] | None:
    """A list that holds nothing but objects, or None."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def inner(value: Any, *names: str) -> Any:
    """What lies under a chain of names; None as soon as one is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def identifier(value: Any) -> str | None:
    """The id of an object that was given whole, or by its href alone, or as a plain string."""
    if isinstance(value, dict):
        return text(value.get("id")) or identifier(value.get("href"))
    word = text(value)
    return word.rstrip("/").rpartition("/")[2] or None if word else None


def moment(value: Any) -> datetime.datetime | None:
    """A time in UTC from RFC 3339 text; a time without a zone is UTC, as the API has it."""
    word = text(value)
    if word is None:
        return None
    try:
        result = datetime.datetime.fromisoformat(_for_old_pythons(word.strip()))
    except ValueError:
        return None
    if result.tzinfo is None:
        result = result.replace(tzinfo=datetime.timezone.utc)
    return result.astimezone(datetime.timezone.utc)


def _for_old_pythons(word: str) -> str:
    # Python 3.9 reads neither Z nor a fraction of any other length than 3 or 6.
    if word[-1:] in ("Z", "z"):
        word = word[:-1] + "+00:00"
    head, dot, tail = word.partition(".")
    if not dot:
        return word
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(value: datetime.datetime) -> str:
    """RFC 3339 text of a time, in whole seconds of UTC."""
    return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def known_time(value: Any) -> str | None:
    """RFC 3339 text of a time that was given as text, or None."""
    seen = moment(value)
    return None if seen is None else stamp(seen)
