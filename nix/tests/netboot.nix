# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A virtual machine boots an image over the network, with one of the roots and of the loaders, and builds in Nix's sandbox. After the pattern
# of nixpkgs' nixos/tests/boot.nix, but QEMU's own iPXE takes the image directory by HTTP. Three disks, of which the image may erase one.
#
#   nix-build nix/tests/netboot.nix --argstr root zfs-stripe
{
  nixpkgs ? <nixpkgs>,
  system ? builtins.currentSystem,
  root ? "tmpfs",
  loader ? "ipxe",
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
        image = {
          inherit loader;
          compressionLevel = 3;
        };
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
  # Python's: the port is known when the server listens. 10.0.2.2 is QEMU's name for the host.
  arguments = lib.concatStringsSep " " (
    [
      (qemu.qemuBinary pkgs.qemu_test)
      "-m 6144 -boot order=n"
      "-netdev user,id=net0,bootfile=http://10.0.2.2:{server.server_port}/netboot.ipxe -device virtio-net-pci,netdev=net0"
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
  name = "nixmetal-netboot-${root}-${loader}";
  nodes = { };
  testScript = ''
    import functools
    import http.server
    import threading

    marker = b"not to be erased"
    for name in ${builtins.toJSON (lib.attrNames disks)}:
        with open(f"{name}.img", "wb") as disk:
            disk.write(marker)
            disk.truncate(8 << 30)

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="${image}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    machine = create_machine(f"${arguments}")
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

    ${lib.optionalString (loader == "stage-1") ''
      with subtest("stage 1 has verified the segments"):
          machine.succeed("journalctl --unit nixmetal-fetch-segments | grep 'are here and verified'")
    ''}
    with subtest("the image's paths are registered"):
        machine.succeed("nix-store --query --requisites /run/current-system > /dev/null")

    machine.shutdown()
    for name in ${builtins.toJSON (lib.attrNames disks)}:
        with open(f"{name}.img", "rb") as disk:
            kept = disk.read(len(marker)) == marker
        assert kept == (name != "allowed" or ${if onDisks then "False" else "True"}), name
  '';
}
