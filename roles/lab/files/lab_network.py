# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays and removes the network of a lab: namespaces, a bridge in the cloud's, and one interface in the machine's own.

The interface in the machine's own namespace carries the lab's directory as its alias: by it a lab tells its own
namespaces from those of another lab that was given the same name, and touches nothing else.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BRIDGE = "br0"
ENDING_SECONDS = 10.0


@dataclass(frozen=True)
class Network:
    """What the role wants: names and addresses."""

    name: str
    directory: str
    subnet: ipaddress.IPv4Network
    controller: str
    cloud: str
    hosts: dict[str, str]

    @property
    def interface(self) -> str:
        return f"nm-{self.name}"

    def namespace(self, host: str) -> str:
        return f"nm-{self.name}-{host}"

    @property
    def namespaces(self) -> list[str]:
        return [self.namespace(host) for host in ["cloud", *self.hosts]]

    def with_prefix(self, address: str) -> str:
        return f"{address}/{self.subnet.prefixlen}"


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def query(*command: str) -> list[dict[str, Any]]:
    """What an `ip -j` command lists; nothing when what it asks for is not there."""
    done = subprocess.run(["ip", "-j", *command], check=False, capture_output=True, text=True)
    found = json.loads(done.stdout or "[]") if done.returncode == 0 else []
    return [entry for entry in found if entry]


def present_namespaces(network: Network) -> set[str]:
    names = {str(entry["name"]) for entry in query("netns", "list")}
    return names & set(network.namespaces)


def links(namespace: str | None = None) -> dict[str, dict[str, Any]]:
    where = ["-n", namespace] if namespace else []
    return {str(entry["ifname"]): entry for entry in query(*where, "link", "show")}


def owner(network: Network) -> str | None:
    """The directory of the lab that holds our interface's name; None when nobody does."""
    link = links().get(network.interface)
    return None if link is None else str(link.get("ifalias", "somebody else"))


def refuse_foreign(network: Network) -> None:
    holder = owner(network)
    if holder == network.directory and network.namespace("cloud") not in present_namespaces(network):
        # Its other end lies in a namespace that is not to be seen from here: a container on this machine has such a lab.
        holder = "a lab of another root directory of this machine"
    if holder not in (None, network.directory):
        sys.exit(
            f"lab_name: the interface {network.interface} belongs to {holder}, not to the lab in {network.directory}. "
            "Choose another lab_name, or take that lab down first."
        )


def overlapping(network: Network, routes: list[dict[str, Any]]) -> list[str]:
    """The machine's own routes that the lab's subnet would cut into."""
    found = []
    for route in routes:
        target = str(route.get("dst", "default"))
        if target == "default" or route.get("dev") == network.interface:
            continue
        if ipaddress.ip_network(target, strict=False).overlaps(network.subnet):
            found.append(f"{target} on {route.get('dev', 'this machine')}")
    return found


def refuse_overlap(network: Network) -> None:
    taken = overlapping(network, query("-4", "route", "show", "table", "all"))
    if taken:
        sys.exit(
            f"lab_subnet: {network.subnet} overlaps with what this machine already routes ({', '.join(taken)}). "
            "Set lab_subnet to a free /24, and lab_name to another name when a second lab is meant."
        )


def namespace_commands(network: Network, present: set[str]) -> list[list[str]]:
    commands = []
    for namespace in network.namespaces:
        if namespace not in present:
            commands.append(["ip", "netns", "add", namespace])
            commands.append(["ip", "-n", namespace, "link", "set", "lo", "up"])
    return commands


def bridge_commands(network: Network) -> list[list[str]]:
    inside = ["ip", "-n", network.namespace("cloud")]
    return [
        [*inside, "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"],
        [*inside, "address", "add", network.with_prefix(network.cloud), "dev", BRIDGE],
        [*inside, "link", "set", BRIDGE, "up"],
    ]


def host_commands(network: Network, host: str) -> list[list[str]]:
    cloud, namespace, port = network.namespace("cloud"), network.namespace(host), f"host-{host}"
    return [
        ["ip", "-n", cloud, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace],
        ["ip", "-n", namespace, "address", "add", network.with_prefix(network.hosts[host]), "dev", "eth0"],
        ["ip", "-n", namespace, "link", "set", "eth0", "up"],
        ["ip", "-n", cloud, "link", "set", port, "master", BRIDGE, "up"],
    ]


def controller_commands(network: Network) -> list[list[str]]:
    cloud, port = network.namespace("cloud"), "controller"
    return [
        [
            "ip",
            "-n",
            cloud,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            network.interface,
            "netns",
            str(os.getpid()),
        ],
        ["ip", "link", "set", network.interface, "alias", network.directory],
        ["ip", "address", "add", network.with_prefix(network.controller), "dev", network.interface],
        ["ip", "link", "set", network.interface, "up"],
        ["ip", "-n", cloud, "link", "set", port, "master", BRIDGE, "up"],
    ]


def up(network: Network) -> bool:
    refuse_foreign(network)
    refuse_overlap(network)
    commands = namespace_commands(network, present_namespaces(network))
    cloud = links(network.namespace("cloud"))
    if BRIDGE not in cloud:
        commands += bridge_commands(network)
    for host in network.hosts:
        if f"host-{host}" not in cloud:
            commands += host_commands(network, host)
    if owner(network) is None:
        commands += controller_commands(network)
    for command in commands:
        run(*command)
    return bool(commands)


def pids(namespace: str) -> list[int]:
    return [int(word) for word in run("ip", "netns", "pids", namespace).split()]


def end_processes(namespace: str) -> None:
    """Whatever still lives in a namespace of this lab was started by it, or by a program that it started."""
    deadline = time.monotonic() + ENDING_SECONDS
    while left := pids(namespace):
        sign = signal.SIGTERM if time.monotonic() < deadline - ENDING_SECONDS / 2 else signal.SIGKILL
        for pid in left:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            sys.exit(f"The processes {left} in the namespace {namespace} did not end.")
        time.sleep(0.1)


def down(network: Network) -> bool:
    refuse_foreign(network)
    present = sorted(present_namespaces(network))
    for namespace in present:
        end_processes(namespace)
    if owner(network) is not None:
        run("ip", "link", "delete", network.interface)
    for namespace in present:
        run("ip", "netns", "delete", namespace)
    return bool(present)


def load(path: Path) -> Network:
    values = json.loads(path.read_text(encoding="utf-8"))
    values["subnet"] = ipaddress.IPv4Network(values["subnet"])
    return Network(**values)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="lab_network")
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("config", type=Path)
    options = parser.parse_args(arguments)
    network = load(options.config)
    changed = up(network) if options.action == "up" else down(network)
    print(json.dumps({"changed": changed}))


if __name__ == "__main__":
    main(sys.argv[1:])
