# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that become answers of the API."""

from __future__ import annotations


class ApiError(Exception):
    """An answer other than success; the texts reach the client as ``errors``."""

    def __init__(self, status: int, *texts: str) -> None:
        super().__init__("; ".join(texts))
        self.status = status
        self.texts = list(texts)


class NotFound(ApiError):
    def __init__(self) -> None:
        super().__init__(404, "Not found")


class Unprocessable(ApiError):
    def __init__(self, *texts: str) -> None:
        super().__init__(422, *texts)
