# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was removed from a web host and from a build host, as lines that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import MOST, counted, listed, unbroken
from ansible_collections.nixmetal.builders.plugins.plugin_utils.progress_lines import size

Json = Mapping[str, Any]


def prune_lines(pruned: Json, host: str, check_mode: bool = False) -> list[str]:
    """From the result of netboot_prune: bytes, each release that goes, and each that stays with the reason."""
    removed, kept = pruned["removed"], pruned["kept"]
    if removed or pruned["blobs_removed"]:
        what = f"{counted(len(removed), 'release')} and {counted(pruned['blobs_removed'], 'blob')}"
        lines = unbroken(f"{host}: {what} {'would go' if check_mode else 'are gone'}, {size(pruned['bytes_freed'])}")
    else:
        lines = unbroken(f"{host}: nothing to remove")
    for release in removed:
        lines += [*_release("Gone" if not check_mode else "Would go", release), f"  {_image(release)}"]
    for release in kept[:MOST]:
        lines += [*_release("Stays", release), f"  {_image(release)}", *unbroken(", ".join(release["reasons"]), "  ")]
    if len(kept) > MOST:
        lines.append(f"... and {len(kept) - MOST} more that stay")
    if pruned["staged_removed"]:
        lines += unbroken(f"Images that were streamed and not published: {', '.join(pruned['staged_removed'])}")
    if pruned["blobs_kept_because"]:
        lines += unbroken(
            f"No blob went: {pruned['blobs_kept_because']}. Next: publish that image again, or remove the release's directory."
        )
    return lines


def garbage_lines(
    links: Iterable[str], said: Sequence[str] | None, free_bytes: int, host: str, check_mode: bool = False
) -> list[str]:
    """From the links that were removed, what nix-store --gc said (None when it did not run), and the bytes that are free."""
    found = sorted(links)
    verb = "would be removed" if check_mode else "removed"
    lines = unbroken(f"{host}: {counted(len(found), 'link')} to images that nobody publishes {verb}")
    return [
        *lines,
        *listed(found),
        *unbroken(f"Garbage   {_garbage(said, check_mode)}"),
        f"Free      {size(free_bytes)}",
    ]


def _garbage(said: Sequence[str] | None, check_mode: bool) -> str:
    if said is None and check_mode:
        return "told without --check, where netboot_image_collect is true"
    if said is None:
        return "not collected (netboot_image_collect is false)"
    # nix-store prints "N store paths deleted, M MiB freed" last, and nothing else that is meant for people.
    told = [line.strip() for line in said if re.match(r"\s*[0-9]+ store paths deleted", line)]
    return told[-1] if told else "collected"


def _release(word: str, release: Json) -> list[str]:
    return unbroken(f"{word}  {release['channel']} {release['release_id']}")


def _image(release: Json) -> str:
    return str(release["image_id"] or "its manifest cannot be read")
