# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays and removes the network of a lab: namespaces, a bridge in the cloud's, and one interface in the machine's own.

The interface in the machine's own namespace, and `lo` in every namespace, carry the lab's directory as their alias: by
it a lab tells its own from those of another lab that was given the same name, and touches nothing else. A link is set
up last: one that is not up was left by an interrupted run, and is made anew.
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
from functools import partial
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


def is_foreign(network: Network, namespace: str) -> bool:
    """Another lab's alias, or no alias and yet something in it: ours gets its alias before anything else."""
    there = links(namespace)
    holder = there.get("lo", {}).get("ifalias")
    return holder != network.directory if holder else bool(there.keys() - {"lo"})


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
    if holder is None and (foreign := sorted(filter(partial(is_foreign, network), present_namespaces(network)))):
        sys.exit(f"lab_name: {', '.join(foreign)} is not of the lab in {network.directory}. Choose another lab_name.")


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
        lo = links(namespace).get("lo") if namespace in present else None
        if lo is None:
            # A name without a namespace behind it is what an interrupted `ip netns` leaves.
            commands += [["ip", "netns", "delete", namespace]] if namespace in present else []
            commands.append(["ip", "netns", "add", namespace])
        if lo is None or not is_up(lo):
            commands.append(["ip", "-n", namespace, "link", "set", "lo", "alias", network.directory])
            commands.append(["ip", "-n", namespace, "link", "set", "lo", "up"])
    return commands


def is_up(link: dict[str, Any]) -> bool:
    return "UP" in link["flags"]


def is_port(link: dict[str, Any] | None) -> bool:
    return link is not None and is_up(link) and link.get("master") == BRIDGE


def delete_commands(network: Network, cloud: dict[str, Any], link: str) -> list[list[str]]:
    """Its other end goes with it."""
    return [["ip", "-n", network.namespace("cloud"), "link", "delete", link]] if link in cloud else []


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
    """The interface comes into the machine's own namespace with its alias on, so that it is never nobody's."""
    cloud, interface, port = ["ip", "-n", network.namespace("cloud")], network.interface, "controller"
    return [
        [*cloud, "link", "add", port, "type", "veth", "peer", "name", interface],
        [*cloud, "link", "set", interface, "alias", network.directory],
        [*cloud, "link", "set", interface, "netns", str(os.getpid())],
        ["ip", "address", "add", network.with_prefix(network.controller), "dev", interface],
        ["ip", "link", "set", interface, "up"],
        [*cloud, "link", "set", port, "master", BRIDGE, "up"],
    ]


def link_commands(network: Network) -> list[list[str]]:
    """What is missing, or was left half made: each link is set up by the last of its commands."""
    commands, cloud = [], links(network.namespace("cloud"))
    bridge = cloud.get(BRIDGE)
    if bridge is None or not is_up(bridge):
        commands += delete_commands(network, cloud, BRIDGE) + bridge_commands(network)
    for host in network.hosts:
        if commands or not is_port(cloud.get(f"host-{host}")):
            commands += delete_commands(network, cloud, f"host-{host}") + host_commands(network, host)
    if commands or not is_port(cloud.get("controller")) or owner(network) is None:
        commands += delete_commands(network, cloud, "controller") + controller_commands(network)
    return commands


def up(network: Network) -> bool:
    refuse_foreign(network)
    refuse_overlap(network)
    namespaces = namespace_commands(network, present_namespaces(network))
    for command in namespaces:
        run(*command)
    commands = link_commands(network)
    for command in commands:
        run(*command)
    return bool(namespaces or commands)


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
    """The interface outlives what it proves to be ours, all but the cloud's namespace, where its other end is."""
    refuse_foreign(network)
    present = [name for name in reversed(network.namespaces) if name in present_namespaces(network)]
    for namespace in present:
        if "lo" in links(namespace):
            end_processes(namespace)
        if namespace == network.namespace("cloud") and owner(network) is not None:
            run("ip", "link", "delete", network.interface)
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
