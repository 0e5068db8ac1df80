# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user reads while a transfer goes on."""

from __future__ import annotations

import pytest

from ansible_collections.nixmetal.builders.plugins.plugin_utils import progress_lines


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_153_433_600, "1.2 GB"),
        (478_206_301, "478 MB"),
        (5e16, "50000 TB"),
    ],
)
def test_sizes(count, text):
    assert progress_lines.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7260, "2 h 01 min")],
)
def test_durations(seconds, text):
    assert progress_lines.duration(seconds) == text


@pytest.mark.parametrize(
    ("done", "sent", "text"),
    [
        (0, 0, "build -> web: 0 B of 1.0 GB (0 %)"),
        (500e6, 500e6, "build -> web: 500 MB of 1.0 GB (50 %), 100 MB/s, 5 s left"),
        (900e6, 500e6, "build -> web: 900 MB of 1.0 GB (90 %), 100 MB/s, 1 s left"),
        (1e9, 1e9, "build -> web: 1.0 GB of 1.0 GB (100 %), 200 MB/s, writing the last of it to the disk"),
    ],
)
def test_lines(done, sent, text):
    progress = {"bytes_done": done, "bytes_total": 1e9, "bytes_sent": sent, "seconds": 5.0}
    assert progress_lines.line("build -> web", progress) == text


def test_a_line_before_anything_is_known():
    progress = {"bytes_done": 0, "bytes_total": 0, "bytes_sent": 0, "seconds": 0.0}
    assert progress_lines.line("build -> web", progress) == "build -> web: looking at what is there"
