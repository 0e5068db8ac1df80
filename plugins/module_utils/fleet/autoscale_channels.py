# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the channels boot: the image that the machines of a class are to run, and offers whose machines could not boot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import SizeClass
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.channel_images import channel_image_problems

Json = Mapping[str, Any]


def blocked_offers(classes: Sequence[SizeClass], answers: Mapping[str, Json]) -> dict[str, str]:
    """By full name, why machines of the offer are not bought now. `answers` are the web servers', by channel; empty when not asked."""
    if not answers:
        return {}
    found = {}
    for offer in (offer for size in classes for offer in size.offers):
        bid = {"name": offer.full_name, "plan": offer.plan, "channel": offer.channel}
        problems = channel_image_problems([bid], answers)
        if problems:
            found[offer.full_name] = problems[0].partition(": ")[2]
    return found


def with_images(classes: Sequence[SizeClass], answers: Mapping[str, Json]) -> tuple[SizeClass, ...]:
    """The classes with the image that their channels boot, where the operator has named none and all channels of a class agree."""
    return tuple(
        size if size.image_id else dataclasses.replace(size, image_id=_image(size, answers)) for size in classes
    )


def _image(size: SizeClass, answers: Mapping[str, Json]) -> str | None:
    manifests = [answers.get(offer.channel, {}).get("json") for offer in size.offers]
    images = {manifest.get("image_id") if isinstance(manifest, Mapping) else None for manifest in manifests}
    image = images.pop() if len(images) == 1 else None
    return image if isinstance(image, str) else None
