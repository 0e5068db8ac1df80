# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine with three disks (two virtio, one USB) that runs nix/lib/encrypted-swap.sh with Debian's kernel and tools."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import CACHE, CHECKOUT
from newc import entry

PACKAGES = "linux-image-amd64,btrfs-progs,busybox-static,coreutils,cryptsetup-bin,dash,mount,util-linux"
MODULES = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"),
    *("usb-common", "usbcore", "xhci-hcd", "xhci-pci", "usb-storage", "scsi_common", "scsi_mod", "sd_mod"),
    *("crct10dif_common", "crct10dif_generic", "crc-t10dif", "crc64", "crc64-rocksoft", "t10-pi"),
    *("raid6_pq", "xor", "crc32c_generic", "libcrc32c", "xxhash_generic", "zstd_compress", "btrfs"),
    *("dm-mod", "dm-crypt", "gf128mul", "ecb", "xts", "libaes", "aes_generic"),
)
DISKS = {
    "allowed": "virtio-blk-pci,serial=allowed",
    "other": "virtio-blk-pci,serial=other",
    "usb": "usb-storage,serial=allowed",
}
MARKER = b"not to be erased"
SIZE = 512 << 20

INIT = """\
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs dev /dev
# Until none is left that needs another one.
for round in 1 2 3 4 5 6; do
  for module in /modules/*; do $busybox insmod "$module" 2>/dev/null && $busybox rm "$module"; done
done
mount -t tmpfs -o mode=0755 tmpfs /sysroot
if [ "$HELD" = btrfs ]; then
  mkfs.btrfs --quiet --data raid0 /dev/vda /dev/vdb
  $busybox mkdir /held
  mount -t btrfs /dev/vda /held && echo "btrfs is mounted"
  dash /nixmetal/wipe-disks.sh /dev/vdb
  echo "wipe status $?"
fi
export NIXMETAL_DISKS="$RULES" NIXMETAL_DISKS_TIMEOUT=10
# Not by busybox, whose shell prefers its own swapon to the one on PATH.
dash /nixmetal/encrypted-swap.sh
echo "status $?"
$busybox grep sysroot /proc/mounts
$busybox dd if=/dev/zero of=/sysroot/fill bs=1M count=900
$busybox cat /proc/swaps
echo "the end"
$busybox poweroff -f
"""


def provide() -> Path:
    """Debian's packages, unpacked once into the cache."""
    root = CACHE / "nix" / f"disk-machine-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]}"
    for program in ("mmdebstrap", "qemu-system-x86_64"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        begun = root.with_name(f"{root.name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={PACKAGES}", "bookworm", str(begun)]
        subprocess.run(command, check=True)
        begun.rename(root)
    return root


def content_of(root: Path) -> Iterator[tuple[str, int, bytes]]:
    """The programs and libraries of the root, by their names in it."""
    for directory, names, files in os.walk(root):
        place = Path(directory).relative_to(root)
        names[:] = [name for name in names if str(place / name) not in ("boot", "lib/modules", "usr/share", "var")]
        for name in (*names, *files):
            path = Path(directory) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield str(place / name), mode, os.readlink(path).encode()
            elif stat.S_ISREG(mode):
                yield str(place / name), mode, path.read_bytes()
            elif stat.S_ISDIR(mode):
                yield str(place / name), mode, b""


def initrd(root: Path) -> bytes:
    directory, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    parts = [entry(name, mode, content) for name, mode, content in content_of(root)]
    parts += [entry(name, directory, b"") for name in ("modules", "nixmetal", "proc", "sys", "sysroot")]
    for module in MODULES:
        for path in root.glob(f"lib/modules/*/kernel/**/{module}.ko"):
            parts.append(entry(f"modules/{module}", program, path.read_bytes()))
    for script in ("choose-disks.sh", "wipe-disks.sh", "encrypted-swap.sh"):
        parts.append(entry(f"nixmetal/{script}", program, (CHECKOUT / "nix/lib" / script).read_bytes()))
    parts.append(entry("usr/bin/sh", stat.S_IFLNK | 0o777, b"/bin/dash"))
    parts += [entry("init", program, INIT.encode()), entry("TRAILER!!!", 0, b"")]
    return gzip.compress(b"".join(parts), 1)


def boot(directory: Path, rules: str, held: str = "no") -> str:
    """What the console shows of a machine with this allow list, with a file system over its virtio disks if `held` names one.

    Its disks are left in the directory.
    """
    root = provide()
    (directory / "initrd").write_bytes(initrd(root))
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "pc", "-no-reboot"]
    command += ["-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max", "-m", "768"]
    command += ["-serial", "stdio", "-device", "qemu-xhci"]
    command += ["-kernel", str(next(root.glob("boot/vmlinuz-*"))), "-initrd", "initrd"]
    command += ["-append", f"console=ttyS0 rdinit=/init panic=-1 quiet RULES={rules} HELD={held}"]
    for name, device in DISKS.items():
        with (directory / name).open("wb") as disk:
            disk.write(MARKER)
            disk.truncate(SIZE)
        command += ["-drive", f"if=none,id={name},format=raw,file={name}", "-device", f"{device},drive={name}"]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )
    return re.sub(r"\r", "", done.stdout.decode(errors="replace"))


def erased(directory: Path) -> set[str]:
    return {name for name in DISKS if (directory / name).open("rb").read(len(MARKER)) != MARKER}
