# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For peers that know one address of the API and no option for another: what goes there is sent to NIXMETAL_PEER_API.

Python runs this file when its directory is on PYTHONPATH. The peers' own files stay as they are.
"""

from __future__ import annotations

import os
from typing import Any

API = "https://api.equinix.com/metal/v1"


def redirect(to: str) -> None:
    import urllib3

    whole = urllib3.PoolManager.urlopen

    def urlopen(self: Any, method: str, url: str, *words: Any, **options: Any) -> Any:
        return whole(self, method, url.replace(API, to, 1), *words, **options)

    urllib3.PoolManager.urlopen = urlopen  # type: ignore[method-assign,assignment]


if os.environ.get("NIXMETAL_PEER_API"):
    redirect(os.environ["NIXMETAL_PEER_API"])
