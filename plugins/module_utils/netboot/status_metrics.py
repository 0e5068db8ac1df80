# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store's state for the text file collector of Prometheus's node exporter.

Times are told and not ages, so that an age grows in Prometheus while nobody writes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse

PREFIX = "nixmetal_netboot"
Sample = tuple[Mapping[str, str], float]


class Observed(NamedTuple):
    """What is told beside the page's contents: channel -> time, channel -> expiry, file -> expiry."""

    good_builds: Mapping[str, float]
    free_bytes: int
    signatures: Mapping[str, float]
    certificates: Mapping[str, float]


def render_metrics(document: Mapping[str, Any], observed: Observed) -> str:
    """All metrics in the text format."""
    channels = document["channels"]
    activated = [({"channel": told["channel"]}, parse(told["activated_at"])) for told in channels]
    return "".join(
        [
            _metric(
                "release_activated_timestamp_seconds",
                "When the active release of the channel became so.",
                _known(activated),
            ),
            _metric(
                "last_good_build_timestamp_seconds",
                "When a build for the channel last succeeded, also one that brought nothing new.",
                [({"channel": name}, when) for name, when in sorted(observed.good_builds.items())],
            ),
            _metric(
                "active_release_info",
                "The release and the image that the channel boots.",
                [(_active(told), 1) for told in channels if told["release_id"]],
            ),
            _metric(
                "releases",
                "Releases of the channel in the store.",
                [({"channel": told["channel"]}, len(told["releases"])) for told in channels],
            ),
            _metric("blobs_bytes", "Bytes of all blobs.", [({}, document["blobs"]["bytes"])]),
            _metric(
                "free_bytes",
                "Bytes that can still be written to the file system of the store.",
                [({}, observed.free_bytes)],
            ),
            _metric(
                "signature_not_after_timestamp_seconds",
                "When the signatures of the channel's active release expire; 0 when they cannot be read.",
                [({"channel": name}, when) for name, when in observed.signatures.items()],
            ),
            _metric(
                "certificate_not_after_timestamp_seconds",
                "When the first certificate of the web server's chain expires; 0 when it cannot be read.",
                [({"file": _escaped(file)}, when) for file, when in observed.certificates.items()],
            ),
        ]
    )


def _active(told: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(told[name]) for name in ("channel", "release_id", "image_id")}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _known(samples: Iterable[tuple[Mapping[str, str], float | None]]) -> list[Sample]:
    return [(labels, value) for labels, value in samples if value is not None]


def _metric(name: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"{PREFIX}_{name}{_labels(labels)} {value:.0f}\n" for labels, value in samples]
    return "".join([f"# HELP {PREFIX}_{name} {text}\n", f"# TYPE {PREFIX}_{name} gauge\n", *lines]) if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    """Their values are names that were checked, or escaped: no quotes, no line breaks."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""
