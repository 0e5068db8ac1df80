# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with the API, each with the words that a user needs: what failed, where, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class MetalError(Exception):
    """Anything that a user is told about in one message, beside what is known of that which was done all the same."""

    known: Mapping[str, Any] = MappingProxyType({})


class SettingError(MetalError):
    """A setting is missing or makes no sense; nothing was sent."""


class LibraryMissing(MetalError):
    """The SDK is not installed for the Python that runs this."""

    def __init__(self, library: str, details: str) -> None:
        super().__init__(f"The Python library {library} is needed to speak with the API: {details}")
        self.library = library


class ApiError(MetalError):
    """A call of the API that did not give what was asked for."""

    def __init__(self, message: str, status: int | None = None, url: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.url = url


class NotFound(ApiError):
    """404: no such thing, or not for this token."""


class Unreachable(ApiError):
    """No connection was made, so nothing was asked."""


class BadAnswer(ApiError):
    """The answer is not what the API promises."""


class Doubtful(ApiError):
    """Something was asked for, and whether it happened is not known."""


class IncompleteReading(ApiError):
    """A list kept changing while its pages were read, or its pages do not add up."""


class Refused(MetalError):
    """This code refuses to act, with the reason."""

    def __init__(self, message: str, known: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.known = known or {}
