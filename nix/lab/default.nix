# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The lab image: a diskless Linux with sshd and Nix, made by Nix alone from files of Debian packages: no network, no nixpkgs,
# no cache. packages.txt names the packages; the role lab downloads them with their dependencies.
#
#   nix-build nix/lab --argstr packages DIRECTORY --arg authorizedKeys '[ "ssh-ed25519 AAAA..." ]'
{
  # A directory of NAME_VERSION_ARCHITECTURE.deb, as apt saves them.
  packages,
  # Public keys that may build, as user build, and do nothing else.
  authorizedKeys,
  # Public keys that may log in as root.
  adminKeys ? authorizedKeys,
  # Public keys that may read boot id, image id and the number of running builds, as user build.
  factsKeys ? [ ],
  # Public keys of SSH certificate authorities: a certificate of theirs does as build or as root, whichever is its principal, what the keys
  # above may.
  trustedCAKeys ? [ ],
  # Who loads the segments: "stage-1" fetches and verifies them itself, "ipxe" loads them with the initrds.
  loader ? "stage-1",
  # Rules of ../lib/choose-disks.sh. With any, a machine ERASES the disks that fit and makes encrypted swap of them, for /nix to spill to; a
  # machine without such a disk lists its hardware on the console and starts over. It takes the packages of disks.txt too.
  disks ? [ ],
  # The acknowledgement that every machine that boots this image does so.
  eraseDisks ? false,
  # Of zstd, 1 to 22. 3 is quick to build and, under software emulation, quick to boot.
  compressionLevel ? 3,
  # Debian's busybox-static on the machine that evaluates: it unpacks the first package.
  busybox ? "/bin/busybox",
  system ? "x86_64-linux",
  name ? "lab-image",
  # Beside what the channel adds when the image is published.
  kernelParams ? [
    "panic=10"
    "random.trust_cpu=on"
  ],
}:
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatStringsSep
    filter
    ;

  # /bin is a link on most machines, and a link is imported as a link.
  static = builtins.path {
    name = "static";
    path =
      /.
      + dirOf (
        if builtins.pathExists ("/usr" + busybox) then
          "/usr" + busybox
        else if builtins.pathExists busybox then
          busybox
        else
          throw "There is no ${busybox} on the machine that evaluates: install busybox-static there."
      );
    filter = path: _: baseNameOf path == "busybox";
  };
  chosen = import ./packages.nix;
  hasDisks =
    if disks != [ ] && !eraseDisks then
      throw ''
        disks is ${toString disks}: every machine that boots this image ERASES such disks, without asking. If that is meant, set eraseDisks
        to true; else leave disks empty.
      ''
    else
      disks != [ ];
  groups = if hasDisks then chosen.groups // chosen.disks.groups else chosen.groups;
  debian = import ./debian.nix {
    inherit system;
    packages = /. + packages;
    busybox = static;
    wanted = [ ./packages.txt ] ++ (if hasDisks then [ ./disks.txt ] else [ ]);
  };
  inherit (debian) files matches unpack;

  # Lines of authorized_keys.
  limited =
    command: keys: concatStringsSep "" (map (key: "restrict,command=\"/etc/nixmetal/${command}\" ${key}\n") keys);

  layer =
    name: debs:
    unpack {
      inherit name debs;
      script = ./layer.sh;
    };
  grouped = concatLists (attrValues groups);
  layers = {
    "10-libraries" = layer "libraries" (filter (file: !matches (grouped ++ chosen.omitted) file) files);
    "90-settings" = unpack {
      name = "settings";
      debs = [ ];
      script = ./settings.sh;
      rootfs = ./rootfs;
      phoneHome = ../lib/phone-home.sh;
      factsCommand = ../lib/facts.sh;
      buildCommand = ../lib/build-command.sh;
      authorities = concatStringsSep "\n" trustedCAKeys;
      principals = limited "build-command" [ "build" ];
      disks = toString disks;
      diskScripts = [
        ../lib/choose-disks.sh
        ../lib/wipe-disks.sh
        ../lib/encrypted-swap.sh
      ];
      adminKeys = concatStringsSep "\n" adminKeys;
      buildKeys = limited "build-command" authorizedKeys + limited "facts" factsKeys;
    };
  }
  // builtins.mapAttrs (group: patterns: layer group (filter (matches patterns) files)) groups;

  kernel = unpack {
    name = "kernel";
    debs = filter (matches [ (if hasDisks then chosen.disks.kernel else chosen.kernel) ]) files;
    script = ./kernel.sh;
    modules = chosen.kernelModules ++ (if hasDisks then chosen.disks.kernelModules else [ ]);
    init = ./stage-1.sh;
    fetch = ../lib/fetch-segments.sh;
    udhcpc = ./rootfs/etc/nixmetal/udhcpc;
    curl = ./curl.sh;
  };

  tools = {
    shell = [
      "${static}/busybox"
      "sh"
    ];
    path = "";
    cpio = "${toolsTree}/bin/cpio";
    mksquashfs = "${toolsTree}/bin/mksquashfs";
  };
  toolsTree = unpack {
    name = "tools";
    debs = filter (matches chosen.tools) files;
    script = ./tools.sh;
  };

  segments = import ../lib/segments.nix {
    inherit system tools;
    compression = "-comp zstd -Xcompression-level ${toString compressionLevel}";
  };
  cut =
    fetched: name:
    segments.cut {
      inherit name fetched;
      tree = layers.${name};
    };
  stageOne = segments.archive {
    name = "stage-1";
    tree = "${kernel}/initrd";
  };
  # 90-settings is what an operator changes most.
  others = filter (name: name != chosen.fetching && name != "90-settings") (attrNames layers);
  loaders = {
    ipxe = {
      initrds = [
        {
          name = "initrd-00-stage-1";
          pieces = [ stageOne ];
        }
        {
          name = "initrd-10-system";
          pieces = map (cut false) ([ chosen.fetching ] ++ others);
        }
        {
          name = "initrd-90-settings";
          pieces = [ (cut false "90-settings") ];
        }
      ];
    };
    stage-1 = {
      initrds = [
        {
          name = "initrd-00-stage-1";
          pieces = [
            stageOne
            (cut false chosen.fetching)
          ];
        }
      ];
      segments = map (name: {
        name = "${name}.squashfs";
        file = cut true name;
      }) (others ++ [ "90-settings" ]);
    };
  };
in
import ../lib/image.nix { inherit system tools; } (
  {
    inherit name kernelParams;
    kernel = "${kernel}/vmlinuz";
  }
  // loaders.${loader} or (throw "loader is '${loader}': say stage-1 or ipxe.")
)
