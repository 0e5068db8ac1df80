# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A virtual machine boots an image over the network, with one of the roots, and builds in Nix's sandbox. After the pattern of nixpkgs'
# nixos/tests/boot.nix: QEMU's own iPXE takes the image directory by TFTP. Three disks, of which the image may erase one.
#
#   nix-build nix/tests/netboot.nix --argstr root zfs-stripe
{
  nixpkgs ? <nixpkgs>,
  system ? builtins.currentSystem,
  root ? "tmpfs",
}:
let
  pkgs = import nixpkgs { inherit system; };
  inherit (pkgs) lib;
  onDisks = root != "tmpfs";

  image =
    (import ../. {
      inherit nixpkgs;
      settings = {
        # Nobody has the key to this one.
        authorizedKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWPjc0g8uVZr1oVTGbkXkjVQTzzHRQ0Mx6IYHMV2O4w nobody" ];
        metadata.enable = false;
        image.compressionLevel = 3;
        root = {
          type = root;
          eraseDisks = onDisks;
          disks = lib.optional onDisks "type=virtio,serial=allowed";
        };
      };
      modules = [
        (nixpkgs + "/nixos/modules/testing/test-instrumentation.nix")
        # What the build below needs, for the machine has no network.
        { system.extraDependencies = [ pkgs.bash ]; }
      ];
    }).images.${"generic-" + lib.removeSuffix "-linux" system};

  qemu = import (nixpkgs + "/nixos/lib/qemu-common.nix") { inherit lib pkgs; };
  # name, arguments that attach it
  disks = {
    allowed = "-device virtio-blk-pci,drive=allowed,serial=allowed";
    other = "-device virtio-blk-pci,drive=other,serial=other";
    usb = "-device qemu-xhci -device usb-storage,drive=usb,serial=allowed";
  };
  drive = name: "-drive if=none,id=${name},format=raw,file=${name}.img";
  arguments = lib.concatStringsSep " " (
    [
      (qemu.qemuBinary pkgs.qemu_test)
      "-m 6144 -boot order=n"
      "-netdev user,id=net0,tftp=${image}/,bootfile=netboot.ipxe -device virtio-net-pci,netdev=net0"
    ]
    ++ lib.concatLists (
      lib.mapAttrsToList (name: attach: [
        (drive name)
        attach
      ]) disks
    )
  );
  rootIs = {
    tmpfs = "tmpfs";
    encrypted-swap = "tmpfs";
    zfs-stripe = "zfs";
  };
in
pkgs.testers.runNixOSTest {
  name = "nixmetal-netboot-${root}";
  nodes = { };
  testScript = ''
    marker = b"not to be erased"
    for name in ${builtins.toJSON (lib.attrNames disks)}:
        with open(f"{name}.img", "wb") as disk:
            disk.write(marker)
            disk.truncate(8 << 30)

    machine = create_machine("${arguments}")
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.wait_for_unit("nixmetal-variant.service")

    with subtest("the root is the one that was asked for"):
        assert machine.succeed("findmnt -n -o FSTYPE /").strip() == "${rootIs.${root}}"
        swaps = len(machine.succeed("swapon --noheadings").splitlines())
        assert swaps == ${if root == "encrypted-swap" then "1" else "0"}, swaps

    with subtest("a sandboxed build succeeds"):
        machine.succeed(
            "nix-build --no-out-link --option substitute false -E "
            "'derivation { name = \"a\"; system = builtins.currentSystem; builder = \"${pkgs.bash}/bin/bash\"; "
            "args = [ \"-c\" \"echo > $out\" ]; }'"
        )
        assert "sandbox = true" in machine.succeed("nix --extra-experimental-features nix-command config show")

    with subtest("the image's paths are registered"):
        machine.succeed("nix-store --query --requisites /run/current-system > /dev/null")

    machine.shutdown()
    for name in ${builtins.toJSON (lib.attrNames disks)}:
        with open(f"{name}.img", "rb") as disk:
            kept = disk.read(len(marker)) == marker
        assert kept == (name != "allowed" or ${if onDisks then "False" else "True"}), name
  '';
}
