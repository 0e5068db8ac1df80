# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole loop in a lab on this machine: from a Nix expression to a build on a machine that booted over the network.

`make demo` runs it. A second run builds nothing, moves no bytes, buys nothing, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import playbook_run

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
PROBE = CHECKOUT / "nix/tests/builder-probe.nix"


class DemoError(Exception):
    """The demonstration cannot go on; the text says why and what helps."""


@dataclass(frozen=True)
class Step:
    title: str
    playbook: str
    arguments: tuple[str, ...] = ()


STEPS = (
    Step("Start the lab", "lab_up"),
    Step("Evaluate, build, stream and publish the image", "build"),
    Step(
        "Buy a spot machine and wait until it has booted",
        "launch_spot",
        ("-e", "spot_fleet_wait=true", "-e", "spot_fleet_wait_timeout=900"),
    ),
    Step("Write the machines file from the inventory", "machines"),
    Step("Build on the new machine", "verify_builders"),
)


class Lab:
    """Which lab is meant, and how its playbooks are run."""

    def __init__(self, settings: list[str]) -> None:
        given = dict(setting.split("=", 1) for setting in settings)
        name = given.get("lab_name", "lab")
        self.directory = Path(given.get("lab_directory", f"/var/lib/nixmetal-lab/{name}"))
        self.inventory = self.directory / "inventory" if given else CHECKOUT / "inventories/lab"
        self._settings = [part for setting in settings for part in ("-e", setting)]
        subnet = given.get("lab_subnet", "10.213.77.0/24")
        self.env = environment(subnet.rsplit(".", 1)[0])
        self._become = [] if os.geteuid() == 0 else become_arguments()

    def playbook(self, name: str, arguments: tuple[str, ...] = ()) -> playbook_run.Outcome:
        command = [str(TOOLS / "ansible-playbook"), str(CHECKOUT / f"playbooks/{name}.yml"), *arguments]
        # The lab's machines cannot be listed before it stands.
        command += [*self._settings, *self._become] if name.startswith("lab_") else ["-i", str(self.inventory)]
        return playbook_run.run(command, self.env, str(CHECKOUT))

    def inventory_output(self, *arguments: str) -> str:
        command = [str(TOOLS / "ansible-inventory"), "-i", str(self.inventory), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=self.env, cwd=CHECKOUT).stdout

    def ssh(self, address: str, command: str, text: str) -> str:
        keys = self.directory / "ssh"
        options = [
            "-F",
            "none",
            "-i",
            str(keys / "id_ed25519"),
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ]
        options += ["-o", f"UserKnownHostsFile={keys / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null"]
        done = subprocess.run(
            ["ssh", *options, f"root@{address}", command], check=True, input=text, stdout=subprocess.PIPE, text=True
        )
        return done.stdout


def environment(prefix: str) -> dict[str, str]:
    """The user's, but with this checkout's Ansible, and no proxy between this machine and the lab on it."""
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }
    env["PATH"] = f"{TOOLS}:{env.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    if "UTF-8" not in env.get("LC_ALL", env.get("LANG", "")).upper().replace("UTF8", "UTF-8"):
        env["LC_ALL"] = "C.UTF-8"
    for name in ("no_proxy", "NO_PROXY"):
        env[name] = ",".join(filter(None, [env.get(name, ""), f"{prefix}.2", f"{prefix}.11"]))
    return env


def become_arguments() -> list[str]:
    """Nothing where sudo asks nothing; otherwise Ansible asks for the password once."""
    try:
        silent = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError as error:
        raise DemoError("The lab needs root: install sudo for this user, or run this as root.") from error
    if silent:
        return []
    if not sys.stdin.isatty():
        raise DemoError(
            "The lab needs root, and sudo wants a password that cannot be asked for here. Run this in a terminal or as root."
        )
    return ["--ask-become-pass"]


def run_steps(lab: Lab) -> list[tuple[str, float, int]]:
    done = []
    for number, step in enumerate(STEPS, 1):
        print(f"\n[{number}/{len(STEPS)}] {step.title}  (playbooks/{step.playbook}.yml)", flush=True)
        outcome = lab.playbook(step.playbook, step.arguments)
        if outcome.status:
            raise DemoError(
                f"playbooks/{step.playbook}.yml failed (status {outcome.status}); see its last lines. `make demo` goes on from here."
            )
        done.append((step.title, outcome.seconds, outcome.changes))
    return done


def builders(listing: dict[str, Any]) -> list[dict[str, Any]]:
    hostvars = listing["_meta"]["hostvars"]
    return [plain(hostvars[name]) for name in listing.get("builders", {}).get("hosts", [])]


def plain(value: Any) -> Any:
    """ansible-inventory marks text that came from outside, {"__ansible_unsafe": text}."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"]
            if set(value) == {"__ansible_unsafe"}
            else {key: plain(item) for key, item in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def build_on(lab: Lab, coordinator: str, builder: dict[str, Any]) -> str:
    """A nix-build on the coordinator that may not build there: the machines file leads it to the builder."""
    command = f"nix-build --no-out-link --max-jobs 0 --argstr bootId {builder['builder_boot_id']} --argstr busybox /usr/bin/busybox"
    print(f"\nlab-coordinator$ {command} -E '...'     # {PROBE.relative_to(CHECKOUT)}", flush=True)
    text = lab.ssh(coordinator, f'cat "$({command} -E "$(cat)")"', PROBE.read_text(encoding="utf-8")).strip()
    print(text)
    answer = json.loads(text)
    for fact in ("boot_id", "image_id"):
        if answer[fact] != builder[f"builder_{fact}"]:
            raise DemoError(f"{fact}: the machine says {answer[fact]}, the inventory {builder[f'builder_{fact}']}.")
    return text


def show_result(lab: Lab) -> None:
    listing = json.loads(lab.inventory_output("--list"))
    coordinator = listing["_meta"]["hostvars"]["lab-coordinator"]["ansible_host"]
    machines = builders(listing)
    if not machines:
        raise DemoError("The inventory lists no builder.")
    for machine in machines:
        build_on(lab, coordinator, machine)
        print("These are the boot id and the image id that the inventory has for the machine:")
        print(f"  machine      {machine['builder_id']} at {machine['builder_address']}")
        print(f"  boot id      {machine['builder_boot_id']}")
        print(f"  image id     {machine['builder_image_id']}")
        print(f"  boot URL     {machine['builder_boot_url']}")
        print(f"  console log  {lab.directory}/cloud/machines/{machine['builder_id']}/console.log")
    print(f"\n$ ansible-inventory -i {lab.inventory} --graph")
    print(lab.inventory_output("--graph").rstrip())


def show_times(done: list[tuple[str, float, int]], seconds: float) -> None:
    print()
    for title, taken, changes in done:
        print(f"  {taken:6.1f} s  changed={changes:<3} {title}")
    total = sum(changes for _name, _seconds, changes in done)
    print(f"  {seconds:6.1f} s  changed={total:<3} in all")
    if total == 0:
        print("\nEverything stood already: built nothing, moved no bytes, bought nothing.")
    print("\nThe lab goes on running. `make demo` again changes nothing; `make lab-down` removes it.")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "-e", dest="settings", action="append", default=[], metavar="lab_NAME=VALUE", help="a setting of the role lab"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--up", action="store_true", help="only start the lab")
    only.add_argument("--down", action="store_true", help="only take the lab down")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    try:
        lab = Lab(options.settings)
        if options.up or options.down:
            return lab.playbook("lab_up" if options.up else "lab_down").status
        done = run_steps(lab)
        show_result(lab)
    except (DemoError, subprocess.CalledProcessError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    show_times(done, time.monotonic() - begin)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
