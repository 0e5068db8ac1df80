# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a bid to builds on machines that booted over the network, and what must not be bought or believed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from demo import PROBE
from lab_driver import Lab

BID = {
    "name": "extra",
    "provider": "equinix_metal",
    "plan": "c3.small.x86",
    "metros": ["am"],
    "count": 1,
    "max_bid_usd_per_hour": 0.5,
    "channel": "lab-x86_64-linux",
}
MACHINES_FILE = "/etc/nix/machines"
STRANGERS_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

Machines = list[dict[str, Any]]


def requests(lab: Lab) -> list[str]:
    return sorted(request["id"] for request in lab.api("/spot-market-requests")["spot_market_requests"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"spot_fleet_bids": [BID | {"plan": "c9.huge.x86"}]}, ["extra", "c9.huge.x86"]),
        ({"spot_fleet_bids": [BID | {"metros": ["zz"]}]}, ["extra", "zz"]),
        ({"spot_fleet_bids": [BID | {"max_bid_usd_per_hour": 0}]}, ["extra", "max_bid_usd_per_hour"]),
        ({"spot_fleet_ceiling_usd_per_hour": 0.75}, ["spot_fleet_ceiling_usd_per_hour", "0.75"]),
        ({"metal_auth_token": ""}, ["metal_auth_token"]),
        ({"metal_auth_token": "stolen"}, ["metal_auth_token", "401"]),
        ({"metal_api_url": "http://127.0.0.1:9/metal/v1"}, ["metal_api_url", "127.0.0.1:9"]),
    ],
    ids=["plan", "metro", "bid-of-zero", "ceiling", "no-token", "wrong-token", "endpoint"],
)
def test_what_cannot_be_bought_is_told_and_nothing_is_bought(
    lab: Lab, settings: dict[str, Any], words: list[str]
) -> None:
    before = requests(lab)
    refused = lab.play("launch_spot", **settings).refused(*words)
    assert "stolen" not in refused.output
    assert requests(lab) == before


def test_check_mode_shows_the_price_and_buys_nothing(lab: Lab) -> None:
    before = requests(lab)
    shown = lab.play("launch_spot", "--check", "--diff", spot_fleet_bids=[BID]).succeeded()
    assert "0.50 USD per hour, 365.00 USD per month" in shown.text
    assert requests(lab) == before


def test_a_second_launch_buys_nothing(lab: Lab, machines: Machines) -> None:
    before = requests(lab)
    lab.play("launch_spot", spot_fleet_wait=True).changed_nothing()
    assert requests(lab) == before
    assert len(before) == 1


def test_two_machines_with_one_hostname_are_two_hosts(lab: Lab, machines: Machines) -> None:
    assert len({machine["builder_id"] for machine in machines}) == 2
    assert {machine["builder_hostname"] for machine in machines} == {"small"}
    assert sorted(lab.listing()["builders"]["hosts"]) == sorted(machine["builder_id"] for machine in machines)
    reading = next(iter(lab.listing()["_meta"]["hostvars"].values()))["builders_reading"]
    assert reading["complete"] is True
    assert reading["count"] == 2


def test_the_console_shows_the_boot_by_digest(lab: Lab, machines: Machines) -> None:
    channel = "/srv/netboot/lab-x86_64-linux"
    manifest = json.loads(lab.web_host(f"cat {channel}/manifest.json").stdout)
    for machine in machines:
        console = lab.console(machine["builder_id"])
        begin = console.index(f"{lab.web}/lab-x86_64-linux/netboot.ipxe... ok")
        loaded = [file for file in manifest["files"] if file["role"] != "segment"]
        for file in loaded:
            begin = console.index(f"/blobs/sha256/{file['sha256']}", begin)
        command_line = console.index("Kernel command line:", begin)
        assert f"nixmetal.image={manifest['image_id']}" in console[command_line:].splitlines()[0]
        assert machine["builder_image_id"] == manifest["image_id"]
        # Stage 1 fetches the rest itself.
        fetched = manifest["files"][len(loaded) :]
        assert fetched
        for file in fetched:
            assert f"fetch-segments: {file['name']}: {file['size']} bytes, verified" in console[command_line:]


def test_the_web_server_saw_the_machines_fetch_them(lab: Lab, machines: Machines) -> None:
    log = [json.loads(line) for line in lab.web_host("cat /var/log/nginx/netboot.log").stdout.splitlines()]
    for machine in machines:
        fetched = {
            entry["uri"] for entry in log if entry["client"] == machine["builder_address"] and entry["status"] == 200
        }
        assert "/lab-x86_64-linux/netboot.ipxe" in fetched
        assert len([uri for uri in fetched if uri.startswith("/blobs/sha256/")]) >= 3


def nix_build(lab: Lab, boot_id: str, more: str = "", check: bool = True) -> Any:
    """A build that the coordinator may not do itself."""
    command = f"nix-build --no-out-link --max-jobs 0 --argstr bootId {boot_id} --argstr busybox /usr/bin/busybox {more}"
    return lab.coordinator(f'cat "$({command} -E "$(cat)")"', PROBE.read_text(encoding="utf-8"), check)


def test_each_machine_builds_and_says_what_the_inventory_says(lab: Lab, handed_over: Machines) -> None:
    lab.play("verify_builders").succeeded()
    for machine in handed_over:
        answer = json.loads(nix_build(lab, machine["builder_boot_id"]).stdout)
        assert answer["boot_id"] == machine["builder_boot_id"]
        assert answer["image_id"] == machine["builder_image_id"]


# What it writes is what it sees: network interfaces, and those names of the machine's own root that are there.
SANDBOXED = """
{ salt }:
derivation {
  name = "sandboxed";
  system = "x86_64-linux";
  builder = "/bin/sh";
  inherit salt;
  args = [ "-euc" "{ cat /proc/net/dev; ls -d /etc/nixmetal /root /nix/var /segments 2>/dev/null || true; } >$out" ];
}
"""


def test_a_root_in_memory_builds_in_the_sandbox(lab: Lab, handed_over: Machines) -> None:
    """test_disks.py tells the same of the root that spills to encrypted swap."""
    machine = handed_over[0]
    root = f"root@{machine['builder_address']}"
    seen = lab.login(
        "id_ed25519", root, machine["builder_host_key"], "cat /proc/swaps; ls -d /etc/nixmetal /root /nix/var"
    )
    assert seen.stdout.splitlines()[1:] == ["/etc/nixmetal", "/nix/var", "/root"]
    command = f'cat "$(nix-build --no-out-link --max-jobs 0 --argstr salt {time.time_ns()} -E "$(cat)")"'
    _titles, _more, *lines = lab.coordinator(command, SANDBOXED).stdout.splitlines()
    assert [line.partition(":")[0].strip() for line in lines] == ["lo"]


# Two builds of some seconds, each of which says where and when it ran.
AT_ONCE = r"""
{ bootId, busybox }:
let
  probe = (%s);
  base = (probe { inherit bootId busybox; }).drvAttrs;
  build = number: derivation (base // {
    name = "at-once-${toString number}-${bootId}";
    args = [ "sh" "-euc" ''
      read -r boot </proc/sys/kernel/random/boot_id
      begin=$(date +%%s)
      sleep 20
      echo "$boot $begin $(date +%%s)" >"$out"
    '' ];
  });
in map build [ 1 2 ]
"""


@pytest.mark.long
def test_nix_builds_on_both_machines_of_the_file_at_once(lab: Lab, handed_over: Machines) -> None:
    boot_ids = [machine["builder_boot_id"] for machine in handed_over]
    command = f"nix-build --no-out-link --max-jobs 0 --argstr bootId {boot_ids[0]} --argstr busybox /usr/bin/busybox"
    expression = AT_ONCE % PROBE.read_text(encoding="utf-8")
    answer = lab.coordinator(f'built=$({command} -E "$(cat)"); cat $built', expression)
    first, second = (line.split() for line in answer.stdout.splitlines())
    assert sorted((first[0], second[0])) == sorted(boot_ids)
    assert max(int(first[1]), int(second[1])) < min(int(first[2]), int(second[2]))


def test_a_second_hand_over_and_a_second_proof_change_nothing(lab: Lab, handed_over: Machines) -> None:
    lab.play("machines").changed_nothing()
    lab.play("verify_builders").succeeded()
    lab.play("verify_builders").changed_nothing()


def test_the_machines_file_alone_leads_nix_to_a_machine(lab: Lab, handed_over: Machines) -> None:
    answer = json.loads(nix_build(lab, "asked-by-no-one").stdout)
    assert answer["boot_id"] in {machine["builder_boot_id"] for machine in handed_over}


def test_a_machine_with_another_host_key_gets_no_build(lab: Lab, handed_over: Machines) -> None:
    lab.play(
        "verify_builders", builder_host_key=STRANGERS_KEY, builder_verify_rebuild=True, builder_verify_take_out=False
    ).refused("test builds failed", "ost key")


def test_an_administrator_logs_in_by_the_published_host_key(lab: Lab, machines: Machines) -> None:
    """The inventory tells ssh the key, and Ansible needs no known_hosts file for machines that come and go."""
    said = lab.adhoc("builders", "raw", "cat /proc/sys/kernel/random/boot_id").succeeded()
    for machine in machines:
        assert machine["builder_boot_id"] in said.output
    # A connection that is open already would not be checked again.
    anew = {"builder_known_hosts_line": f"* {STRANGERS_KEY}", "ansible_ssh_args": "-o ControlPath=none"}
    lab.adhoc("builders", "raw", "true", **anew).refused("ost key verification failed")


def test_a_key_may_read_facts_and_another_build_and_neither_does_more(lab: Lab, handed_over: Machines) -> None:
    machine = handed_over[0]
    login = f"build@{machine['builder_address']}"
    told = lab.login("facts_ed25519", login, machine["builder_host_key"], "nix-store --delete /nix/store")
    assert json.loads(told.stdout) == {
        "boot_id": machine["builder_boot_id"],
        "image_id": machine["builder_image_id"],
        "jobs": 0,
        "sessions": 0,
    }
    refused = lab.login("id_ed25519", login, machine["builder_host_key"], "cat /etc/passwd")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "builds for Nix and does nothing else" in refused.stderr


@pytest.mark.parametrize(
    ("authority", "principal", "user", "said"),
    [
        ("authority_ed25519", "build", "build", "builds for Nix and does nothing else"),
        ("authority_ed25519", "build", "root", "Permission denied"),
        ("authority_ed25519", "root", "root", ""),
        ("stranger_ed25519", "build", "build", "Permission denied"),
    ],
)
def test_a_certificate_may_do_what_its_principal_may(
    lab: Lab, machines: Machines, authority: str, principal: str, user: str, said: str
) -> None:
    key = lab.certified(authority, principal)
    login = f"{user}@{machines[0]['builder_address']}"
    answer = lab.login(key, login, machines[0]["builder_host_key"], "echo and more")
    assert said in answer.stderr
    assert (answer.stdout == "and more\n") == (not said)


@pytest.fixture
def broken_api(lab: Lab) -> Iterator[None]:
    """Every answer of the API is 500."""
    lab.control("POST", "/faults", {"kind": "status", "status": 500, "path": "*", "count": None})
    yield
    lab.control("DELETE", "/faults")


def test_an_api_that_only_fails_leaves_the_machines_file_as_it_is(
    lab: Lab, handed_over: Machines, broken_api: None
) -> None:
    look = f"stat -c '%i %Y %s' {MACHINES_FILE}; cat {MACHINES_FILE}"
    before = lab.coordinator(look).stdout
    assert "build@" in before
    lab.play("machines").refused("500")
    assert lab.coordinator(look).stdout == before
