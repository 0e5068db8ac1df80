# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role fleet_notify tells, to whom, and what it does when nobody listens."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

SECRET = "T0K3N-in-the-address"


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that keeps what it is told; /broken fails and /elsewhere leads to another path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.told: list[tuple[str, dict[str, Any], str | None]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.append((self.path, body, self.headers.get("Authorization")))
        self.send_response({"/broken": 500, "/elsewhere": 307}.get(self.path.partition("?")[0], 204))
        self.send_header("Location", "/followed")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def telling(name: str, **variables: Any) -> dict[str, Any]:
    default = {
        "fleet_notify_event": "reclaim",
        "fleet_notify_text": f"told {name}",
        "fleet_notify_data": {"machines": ["m1"]},
    }
    return {
        "name": f"Tell {name}",
        "ansible.builtin.include_role": {"name": "nixmetal.builders.fleet_notify"},
        "vars": {**default, **variables},
    }


def play(root: Path, tasks: list[dict[str, Any]], *arguments: str) -> subprocess.CompletedProcess[str]:
    book = root / "play.yml"
    variables = {"spot_fleet_name": "ci"}
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        "one,two,",
        "-c",
        "local",
        str(book),
        "-v",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_webhook_and_the_command_get_the_event_once(tmp_path: Path, receiver: Receiver) -> None:
    address = f"{receiver.url}/hook?{SECRET}"
    kept = tmp_path / "kept"
    command = ["sh", "-c", f"cat > {kept}"]
    told = play(
        tmp_path,
        [
            telling("nobody"),
            telling("both", fleet_notify_webhook_url=address, fleet_notify_command=command),
            telling("not this event", fleet_notify_webhook_url=address, fleet_notify_events=["ceiling"]),
            telling("a broken one", fleet_notify_webhook_url=f"{receiver.url}/broken?{SECRET}"),
            telling(
                "one that leads elsewhere",
                fleet_notify_webhook_url=f"{receiver.url}/elsewhere?{SECRET}",
                fleet_notify_webhook_headers={"Authorization": f"Bearer {SECRET}"},
            ),
            telling("nobody at home", fleet_notify_webhook_url=f"http://127.0.0.1:9/{SECRET}"),
            telling("a command that fails", fleet_notify_command=["sh", "-c", "echo no chat today >&2; exit 3"]),
            telling("a command that hangs", fleet_notify_command=["sleep", "60"], fleet_notify_timeout_seconds=1),
        ],
    )
    output = told.stdout + told.stderr
    assert told.returncode == 0, output
    assert [path.partition("?")[0] for path, _body, _header in receiver.told] == ["/hook", "/broken", "/elsewhere"]
    _path, message, _header = receiver.told[0]
    assert message.pop("at").endswith("Z")
    assert message == {"event": "reclaim", "fleet": "ci", "text": "told both", "data": {"machines": ["m1"]}}
    assert json.loads(kept.read_text())["text"] == "told both"
    assert receiver.told[2][2] == f"Bearer {SECRET}"
    assert SECRET not in output
    flat = " ".join(output.split())
    assert "(told a broken one) could not be told: the webhook answered with status 500." in flat
    assert "(told one that leads elsewhere) could not be told: the webhook answered with status 307." in flat
    assert "(told nobody at home) could not be told: the webhook of fleet_notify_webhook_url did not answer." in flat
    assert "(told a command that fails) could not be told: the command sh failed: no chat today." in flat
    assert "(told a command that hangs) could not be told: the command sleep failed" in flat
    assert "changed=0" in output
    assert "changed=1" not in output


def test_check_mode_tells_nothing(tmp_path: Path, receiver: Receiver) -> None:
    assert play(tmp_path, [telling("x", fleet_notify_webhook_url=receiver.url)], "--check").returncode == 0
    assert receiver.told == []
