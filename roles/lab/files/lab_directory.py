# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the directory of a lab (its mark, its rooms, its SSH keys; prints the public keys), and removes it.

The keys of the hosts are made here, so that the lab's known_hosts is true before the first connection.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

from lab_files import write_file

MARK = ".nixmetal-lab"
ROOMS = {"roots": 0o700, "run": 0o755, "log": 0o755, "cloud": 0o755, "keys": 0o700}


def refuse_foreign(directory: Path, name: str) -> None:
    """A directory is ours when it is new, empty, or carries our mark."""
    mark = directory / MARK
    if mark.exists():
        holder = mark.read_text(encoding="utf-8").strip()
        if holder != name:
            sys.exit(
                f"lab_directory: {directory} belongs to the lab named {holder}, not to {name}. Set another lab_directory."
            )
    elif directory.exists() and any(directory.iterdir()):
        sys.exit(
            f"lab_directory: {directory} is not empty and is not a lab's directory. Set lab_directory to one of its own."
        )


def make_room(path: Path, mode: int, owner: int = 0) -> bool:
    made = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    os.chown(path, owner, -1)
    return made


def make_key(path: Path, comment: str, owner: int = 0) -> bool:
    if path.exists():
        return False
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], check=True)
    os.chown(path, owner, -1)
    return True


def public_key(path: Path) -> str:
    return path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").strip()


def known_hosts(hosts: dict[str, list[str]], keys: dict[str, str]) -> str:
    lines = [f"{','.join(names)} {' '.join(keys[host].split()[:2])}\n" for host, names in hosts.items()]
    return "".join(lines)


def prepare(directory: Path, name: str, owner: int, hosts: dict[str, list[str]]) -> tuple[bool, dict[str, str]]:
    refuse_foreign(directory, name)
    changes = [make_room(directory, 0o755), write_file(directory / MARK, f"{name}\n", 0o644)]
    changes += [make_room(directory / room, mode) for room, mode in ROOMS.items()]
    changes += [make_room(directory / room, 0o700, owner) for room in ("ssh", "ssh/control")]
    changes.append(make_key(directory / "ssh/id_ed25519", f"controller of {name}", owner))
    # Reads what the builders tell of themselves, and may do nothing else.
    changes.append(make_key(directory / "ssh/facts_ed25519", f"facts of {name}", owner))
    # Signs certificates that the builders accept.
    changes.append(make_key(directory / "ssh/authority_ed25519", f"authority of {name}", owner))
    keys = {"controller": public_key(directory / "ssh/id_ed25519")}
    for key in ["builder", *hosts]:
        path = directory / "keys" / f"{key}_ed25519"
        changes.append(make_key(path, f"{key} of {name}"))
        keys[key] = public_key(path)
    changes.append(write_file(directory / "ssh/builder_ed25519.pub", f"{keys['builder']}\n", 0o644, owner))
    changes.append(write_file(directory / "ssh/known_hosts", known_hosts(hosts, keys), 0o644, owner))
    return any(changes), keys


def mounted_below(directory: Path) -> list[str]:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    return [place for place in (line.split()[1] for line in mounts) if place.startswith(f"{directory}/")]


def check(directory: Path, name: str) -> bool:
    """Whether there is something to remove; an end with words when it is not this lab's."""
    if not directory.exists():
        return False
    mark = directory / MARK
    holder = mark.read_text(encoding="utf-8").strip() if mark.exists() else None
    if holder != name:
        belongs = f"is that of the lab named {holder}" if holder else f"has no file {MARK}"
        sys.exit(
            f"lab_directory: {directory} is not the directory of the lab {name}: it {belongs}. Nothing was touched."
        )
    if mounts := mounted_below(directory):
        sys.exit(
            f"lab_directory: {', '.join(mounts)} is mounted, and not by the lab. Unmount it first. Nothing was touched."
        )
    return True


def remove(directory: Path, name: str) -> bool:
    if not check(directory, name):
        return False
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", str(directory)], check=True)
    return True


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab_directory")
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("prepare", "check", "remove"):
        sub = actions.add_parser(action)
        sub.add_argument("directory", type=Path)
        sub.add_argument("name")
        if action == "prepare":
            sub.add_argument("owner", type=lambda name: pwd.getpwnam(name).pw_uid, help="who runs the playbooks")
            sub.add_argument("hosts", type=json.loads, help='JSON: {"build": ["192.0.2.10", "lab-build"]}')
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    if options.action == "check":
        print(json.dumps({"changed": False, "there": check(options.directory, options.name)}))
    elif options.action == "remove":
        print(json.dumps({"changed": remove(options.directory, options.name)}))
    else:
        changed, keys = prepare(options.directory, options.name, options.owner, options.hosts)
        print(json.dumps({"changed": changed, "keys": keys}))


if __name__ == "__main__":
    main(sys.argv[1:])
