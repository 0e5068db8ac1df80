# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules that ask for jobs, with Debian's own Prometheus, which scrapes an exporter with the queue runners' names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.nixmetal.builders.plugins.modules import builder_jobs_info, builder_jobs_wait

PROMETHEUS = os.environ.get("NIXMETAL_TEST_PROMETHEUS") or shutil.which("prometheus") or ""
pytestmark = pytest.mark.skipif(
    not PROMETHEUS, reason="*** JOBS ARE NOT READ FROM A REAL PROMETHEUS: there is none (package prometheus) ***"
)
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: hydra
    static_configs: [{{targets: ["{first}"]}}]
  - job_name: other
    static_configs: [{{targets: ["{second}"]}}]
"""
A, B = "build@192.0.2.10", "build@192.0.2.11"
WHOLE = f"""hydra_machine_current_jobs{{host="{A}"}} 0
hydra_machine_current_jobs{{host="{B}"}} 2
hydraqueuerunner_machine_current_jobs{{hostname="builder-7"}} 1
"""


class Exporter:
    """Metrics that a test changes, for each of two addresses."""

    def __init__(self) -> None:
        self.texts: dict[int, str | None] = {}
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _number in range(2)]
        self.ports = [server.server_address[1] for server in self.servers]
        self.show(WHOLE)
        self.threads = [threading.Thread(target=server.serve_forever) for server in self.servers]
        for thread in self.threads:
            thread.start()

    def show(self, first: str | None, second: str | None = "") -> None:
        """What the addresses export from now on; None is status 500."""
        self.texts = dict(zip(self.ports, (first, second), strict=True))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = exporter.texts[self.server.server_address[1]]  # type: ignore[index]
                self.send_response(500 if text is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def stop(self) -> None:
        for server, thread in zip(self.servers, self.threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.stop()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def prometheus(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. It is stopped by its own process id."""
    place, port = tmp_path_factory.mktemp("prometheus"), free_port()
    first, second = (f"127.0.0.1:{number}" for number in exporter.ports)
    (place / "prometheus.yml").write_text(CONFIG.format(first=first, second=second))
    options = [
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (place / "log").open("w") as log, subprocess.Popen([PROMETHEUS, *options], stdout=log, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/-/ready"), f"Prometheus is not ready: {(place / 'log').read_text()[-500:]}")
        yield url
        process.send_signal(signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(condition: Any, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def run(module: ModuleType, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.fixture
def ask(prometheus: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def jobs(**options: Any) -> dict[str, Any]:
        builders = [{"id": "a", "label": A}, {"id": "b", "label": B}]
        told = run(
            builder_jobs_info, capsys, **{"source": "prometheus", "url": prometheus, "builders": builders, **options}
        )
        assert not told.get("failed"), told
        return dict(told["builders"])

    return jobs


def test_both_queue_runners_are_read(ask: Any, exporter: Exporter) -> None:
    exporter.show(WHOLE)
    until(lambda: ask()["b"]["jobs"] == 2, "the first scrape")
    assert ask()["a"] == {"jobs": 0, "source": "prometheus", "label": A, "reason": None}
    new = ask(hydra="new", builders=[{"id": "n", "label": "builder-7"}])
    assert new["n"]["jobs"] == 1


def test_a_series_that_ends_becomes_unknown_and_not_idle(ask: Any, exporter: Exporter) -> None:
    """As of a renamed label, of a machine that the exporter forgot, and of an exporter that only fails."""
    for text in (WHOLE.replace("host=", "machine="), "", None):
        exporter.show(WHOLE)
        until(lambda: ask()["a"]["jobs"] == 0, "the series is back")
        exporter.show(text)
        until(lambda: ask()["a"]["jobs"] is None, f"unknown with {text!r}")
        assert ask()["a"]["reason"]


def test_two_exporters_of_one_series_are_unknown_until_one_is_chosen(ask: Any, exporter: Exporter) -> None:
    exporter.show(WHOLE, f'hydra_machine_current_jobs{{host="{A}"}} 5\n')
    until(lambda: "prometheus_selector" in (ask()["a"]["reason"] or ""), "both are seen")
    assert ask()["a"]["jobs"] is None
    assert ask(prometheus_selector='job="other"')["a"]["jobs"] == 5


def test_an_old_sample_is_unknown(ask: Any, exporter: Exporter) -> None:
    """Prometheus shows a sample with a time of its own for five minutes."""
    exporter.show(f'hydra_machine_current_jobs{{host="old"}} 0 {int((time.time() - 200) * 1000)}\n')
    builders = [{"id": "a", "label": "old"}]
    until(lambda: "seconds old" in (ask(builders=builders)["a"]["reason"] or ""), "the old sample")
    assert ask(builders=builders)["a"]["jobs"] is None
    assert ask(builders=builders, max_age_seconds=250)["a"]["jobs"] == 0


def test_it_is_waited_until_the_jobs_end(
    prometheus: str, exporter: Exporter, capsys: pytest.CaptureFixture[str], ask: Any
) -> None:
    exporter.show(WHOLE)
    until(lambda: ask()["b"]["jobs"] == 2, "the machine is busy")
    ending = threading.Timer(1.5, lambda: exporter.show(WHOLE.replace(" 2\n", " 0\n")))
    ending.start()
    options = {"source": "prometheus", "url": prometheus, "quiet_seconds": 0.6, "pause_seconds": 0.2}
    builders = [{"id": "a", "label": A}, {"id": "b", "label": B}]
    begin = time.monotonic()
    told = run(builder_jobs_wait, capsys, builders=builders, timeout=20, **options)
    ending.join()
    assert (told["finished"], sorted(told["idle"])) == (True, ["a", "b"])
    assert time.monotonic() - begin > 2.1


def test_the_time_that_is_over_fails_or_goes_on(prometheus: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"source": "prometheus", "url": prometheus, "builders": [{"id": "x", "label": "nobody"}], "timeout": 0.2}
    failed = run(builder_jobs_wait, capsys, **options)
    assert failed["failed"]
    assert "x (unknown: no series" in failed["msg"]
    went_on = run(builder_jobs_wait, capsys, policy="proceed", **options)
    assert (went_on.get("failed"), went_on["not_idle"]) == (None, ["x"])


def test_options_without_sense_are_refused(prometheus: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = run(builder_jobs_info, capsys, source="prometheus", url=prometheus, builders=[], prometheus_label="a b")
    assert "prometheus_label" in wrong["msg"]
    assert "url" in run(builder_jobs_info, capsys, source="hydra", builders=[])["msg"]
