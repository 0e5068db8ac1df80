# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot an image once, as its release would, and believe only what it says of itself."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import Manifest, read_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings, make_release
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.script import SCRIPT_NAME
from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path

from .machine import (
    HOST_ADDRESS,
    KVM_BROKE_DOWN,
    Hardware,
    Machine,
    accelerations,
    make_console,
    tail,
)
from .receiver import Receiver, Report

SYSTEM = "x86_64-linux"
PAUSE = 0.1


class Trial(NamedTuple):
    """What is booted: an image with the kernel parameters of a channel, and where its files are."""

    manifest: Manifest
    channel: str
    kernel_params: tuple[str, ...]
    files: dict[str, str]


class Outcome(NamedTuple):
    """A boot that came to its end."""

    report: Report
    seconds: float
    acceleration: str


def from_store(root: str, manifest: Manifest) -> dict[str, str]:
    """Digest -> path, for an image that was streamed."""
    return {file.sha256: blob_path(root, file.sha256) for file in manifest.files}


def from_directory(directory: str) -> tuple[Manifest, dict[str, str]]:
    """The manifest of an image directory, and digest -> path."""
    path = os.path.join(directory, "manifest.json")
    try:
        with open(path, "rb") as stream:
            manifest = read_manifest(stream.read(), path)
    except OSError as error:
        raise NetbootError(f"directory: cannot read {path}: {error.strerror}; nothing was booted.") from error
    return manifest, {file.sha256: os.path.join(directory, file.name) for file in manifest.files}


def boot(trial: Trial, hardware: Hardware, console: str, timeout: float) -> Outcome:
    """Boot it. An image that does not report its own id as ready within timeout seconds is refused, with its last words."""
    _check(trial)
    make_console(console)
    problem: str | None = None
    for acceleration in accelerations(hardware):
        begin = time.monotonic()
        problem, report = _attempt(trial, hardware._replace(acceleration=acceleration), console, timeout)
        if problem is None and report is not None:
            return Outcome(report, time.monotonic() - begin, acceleration)
        if problem != KVM_BROKE_DOWN:
            break
    raise NetbootError(
        f"the image {trial.manifest.image_id} {problem}. It was not activated. The end of its console ({console}):\n"
        + "\n".join(tail(console))
    )


def _attempt(trial: Trial, hardware: Hardware, console: str, timeout: float) -> tuple[str | None, Report | None]:
    with Receiver() as receiver:
        _prepare(receiver, trial)
        receiver.start()
        machine = Machine(hardware, f"http://{HOST_ADDRESS}:{receiver.port}/{trial.channel}/{SCRIPT_NAME}", console)
        try:
            return _wait(receiver, machine, trial, timeout), receiver.report
        finally:
            machine.stop()
            receiver.shutdown()


def _check(trial: Trial) -> None:
    if trial.manifest.system != SYSTEM:
        raise NetbootError(f"the image is for {trial.manifest.system}; a test boot is made for {SYSTEM} alone.")
    for file in trial.manifest.files:
        if not os.path.isfile(trial.files[file.sha256]):
            raise NetbootError(f"{trial.files[file.sha256]} ({file.name}) is not there; stream the image again.")


def _prepare(receiver: Receiver, trial: Trial) -> None:
    """The release as it will be, but for the addresses and what shows a failure at once."""
    base_url = f"http://{HOST_ADDRESS}:{receiver.port}"
    own = ("console=ttyS0", "panic=-1", f"nixmetal.metadata={base_url}/metadata")
    settings = Settings(trial.channel, base_url, "relative", (*trial.kernel_params, *own))
    script = make_release(trial.manifest, settings).contents[SCRIPT_NAME]
    receiver.texts[f"/{trial.channel}/{SCRIPT_NAME}"] = script
    receiver.files = {f"/blobs/sha256/{digest}": path for digest, path in trial.files.items()}


def _wait(receiver: Receiver, machine: Machine, trial: Trial, timeout: float) -> str | None:
    """What went wrong, if anything."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        report = receiver.report
        if report is not None and report.image_id != trial.manifest.image_id:
            return f"says that it is '{report.image_id}'"
        if report is not None and receiver.ready.is_set():
            return None
        if machine.ended():
            return f"ended before it was ready: it restarted, panicked or switched off {machine.complaint()}".rstrip()
        if machine.kvm_broke_down():
            return KVM_BROKE_DOWN
        time.sleep(PAUSE)
    seen = "it has reported its id but not that it is ready" if receiver.report else _progress(receiver)
    return f"was not ready within {timeout:g} s: {seen}"


def _progress(receiver: Receiver) -> str:
    """How far it came, by what it asked for."""
    last = receiver.requests[-1] if receiver.requests else "nothing"
    return f"it has not reported, and the last thing that it asked for was {last}"
