# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of roles netboot_releases and netboot_image: what was removed from web hosts and build hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.plugin_utils.store_summaries import garbage_lines, prune_lines

Json = Mapping[str, Any]


def netboot_prune_summary(pruned: Json, host: str, check_mode: bool = False) -> list[str]:
    return prune_lines(pruned, host, check_mode)


def nix_garbage_summary(
    links: Sequence[str], said: Sequence[str] | None, free_bytes: int, host: str, check_mode: bool = False
) -> list[str]:
    return garbage_lines(links, said, free_bytes, host, check_mode)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {function.__name__: function for function in (netboot_prune_summary, nix_garbage_summary)}
