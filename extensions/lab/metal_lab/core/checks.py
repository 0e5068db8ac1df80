# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a client sent: typed values or a list of the API's own kind of complaints."""

from __future__ import annotations

import math
import re
from typing import Any

from metal_lab.core.clock import from_text
from metal_lab.core.errors import Unprocessable

# No underscore: the real API refuses it.
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# Printable ASCII without quotes, angle brackets and backslash: it ends up in files of other programs.
_URL = re.compile(r"https?://[!#-&(-;=?-\[\]-~]{1,1024}")


def is_hostname(text: str) -> bool:
    """`{{index}}` stands for the number of the machine."""
    return _HOSTNAME.fullmatch(text.replace("{{index}}", "0")) is not None


class Fields:
    """A JSON object under examination. Complaints are collected; ``finish`` raises them all at once."""

    def __init__(self, values: Any, where: str = "") -> None:
        self._where = where
        self.complaints: list[str] = []
        self.values: dict[str, Any] = values if isinstance(values, dict) else {}
        if not isinstance(values, dict):
            self.complain(where or "body", "must be an object")

    def complain(self, name: str, text: str) -> None:
        self.complaints.append(f"{self._where}{name} {text}")

    def finish(self) -> None:
        if self.complaints:
            raise Unprocessable(*self.complaints)

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            if required:
                self.complain(name, "can't be blank")
            return None
        if not isinstance(value, str):
            self.complain(name, "must be a string")
            return None
        return value

    def hostname(self, name: str = "hostname") -> str | None:
        value = self.text(name)
        if value is not None and not is_hostname(value):
            self.complain(name, "is not a valid hostname: letters, digits, '-' and '.' alone")
            return None
        return value

    def hostnames(self, name: str = "hostnames") -> list[str]:
        values = self.texts(name)
        if not all(map(is_hostname, values)):
            self.complain(name, "holds what is not a valid hostname: letters, digits, '-' and '.' alone")
        return values

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _URL.fullmatch(value):
            self.complain(name, "is not a valid URL")
            return None
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.complain(name, "must be true or false")
            return default
        return value

    def count(self, name: str, minimum: int) -> int | None:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            self.complain(name, "is not a number")
            return None
        if value < minimum:
            self.complain(name, f"must be greater than or equal to {minimum}")
            return None
        return value

    def price(self, name: str, *, required: bool) -> float | None:
        """A number above zero; numeric strings are taken too (packngo sends them)."""
        value = self.values.get(name)
        if value is None:
            if required:
                self.complain(name, "can't be blank")
            return None
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            self.complain(name, "is not a number")
            return None
        if number <= 0:
            self.complain(name, "must be greater than 0")
            return None
        return number

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name)
        # An empty object too: packet-python sends one where no tags are given.
        if value is None or value == {}:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.complain(name, "must be a list of strings")
            return []
        return list(value)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.values.get(name)
        if value is None or value == "":
            return {}
        if not isinstance(value, dict):
            self.complain(name, "must be an object")
            return {}
        return value

    def moment(self, name: str) -> float | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return from_text(value)
        except (ValueError, OverflowError):
            self.complain(name, "is not a valid date")
            return None
