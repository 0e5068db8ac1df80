# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a queue is read from what either queue runner says, and that whatever is not understood is unknown."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.queue import Waiting, read_queue
from ansible_collections.nixmetal.builders.plugins.modules import hydra_queue_info

NOW = 1_700_000_100


def read(answer: Any) -> list[Waiting]:
    return read_queue(answer, NOW, 120)


OLDER = {
    "time": 1_700_000_000,
    "status": "up",
    "nrRunnableSteps": 4106,
    "machines": {"build@abc.packethost.net": {"enabled": True, "currentJobs": 4}},
    "machineTypes": {
        "x86_64-linux": {"runnable": 4000, "running": 96, "waitTime": 12},
        "x86_64-linux:big-parallel,kvm": {"runnable": 106, "running": 0, "lastActive": 1700000000},
        "aarch64-linux:local": {"runnable": 0, "running": 0},
    },
}
NEWER = {
    "queueRunner": {
        "status": "up",
        "runnableCount": 30,
        "queueStats": {
            "x86_64-linux": {"activeRunnable": 10, "totalRunnable": 25, "nrRunnableWaiting": 15, "waitTimeMs": 3},
            "aarch64-linux": {"activeRunnable": 0, "totalRunnable": 0},
        },
    },
    "machines": {},
    "jobsets": {},
    "store": None,
    "s3": {},
}


def test_older_runner_tells_systems_and_features() -> None:
    assert read(OLDER) == [
        Waiting("aarch64-linux", [], 0, 0),
        Waiting("x86_64-linux", [], 4000, 96),
        Waiting("x86_64-linux", ["big-parallel", "kvm"], 106, 0),
    ]


def test_newer_runner_tells_no_features_and_counts_the_running_among_the_total() -> None:
    assert read(NEWER) == [Waiting("aarch64-linux", None, 0, 0), Waiting("x86_64-linux", None, 15, 10)]


def test_empty_queue_of_a_runner_that_is_up_is_known() -> None:
    assert read({"status": "up", "machineTypes": {}}) == []


def changed(answer: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    result = copy.deepcopy(answer)
    place = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return result


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no JSON object"),
        ([], "no JSON object"),
        ({}, "status is missing"),
        ({"status": "unknown"}, "status is 'unknown'"),
        ({"status": "unreachable"}, "status is 'unreachable'"),
        ({"error": "Fatal"}, "status is missing"),
        (changed(OLDER, "down", "status"), "status is 'down'"),
        ({"status": "up"}, "no machineTypes"),
        (changed(OLDER, NOW - 121, "time"), "the status is 121 seconds old"),
        (changed(OLDER, NOW + 121, "time"), "the status is -121 seconds old"),
        (changed(OLDER, "now", "time"), "time is 'now'"),
        (changed(OLDER, None, "machineTypes"), "no machineTypes"),
        (changed(OLDER, None, "machineTypes", "x86_64-linux"), "machineTypes['x86_64-linux'].runnable is missing"),
        (changed(OLDER, None, "machineTypes", "x86_64-linux", "runnable"), "runnable is missing, not a count"),
        (changed(OLDER, "12", "machineTypes", "x86_64-linux", "runnable"), "runnable is '12', not a count"),
        (changed(OLDER, True, "machineTypes", "x86_64-linux", "running"), "running is True, not a count"),
        (changed(OLDER, -1, "machineTypes", "x86_64-linux", "runnable"), "runnable is -1, not a count"),
        (changed(OLDER, {"runnable": 1, "running": 0}, "machineTypes", ":kvm"), "names no system"),
        (changed(NEWER, "starting", "queueRunner", "status"), "status is 'starting'"),
        (changed(NEWER, None, "queueRunner", "queueStats"), "no queueRunner.queueStats"),
        (
            changed(NEWER, {"totalRunnable": 3}, "queueRunner", "queueStats", "x86_64-linux"),
            "activeRunnable is missing",
        ),
    ],
)
def test_what_is_not_understood_is_unknown(answer: Any, words: str) -> None:
    with pytest.raises(FleetError) as error:
        read(answer)
    assert words in str(error.value)


ANSWERS = {
    "/json": (200, "application/json", b'{"status": "up"}'),
    "/queue": (200, "application/json", b'{"status": "up", "machineTypes": {"x-y": {"runnable": 2, "running": 1}}}'),
    "/broken": (500, "application/json", b'{"error": "Fatal"}'),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, kind, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_module_tells_unknown_as_null(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for path in ("/json", "/broken", "/queue"):
        with patch_module_args({"url": address(server, path)}), pytest.raises(SystemExit):
            hydra_queue_info.main()
        answers.append(json.loads(capsys.readouterr().out))
    assert [answer["queue"] for answer in answers] == [
        None,
        None,
        [{"system": "x-y", "features": [], "runnable": 2, "running": 1}],
    ]
    assert "no machineTypes" in answers[0]["reason"]
    assert "500" in answers[1]["reason"]
