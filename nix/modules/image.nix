# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The image directory of this configuration: kernel, stage 1 and the closure, cut into segments, and these into pieces by store path.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.image;

  system = pkgs.stdenv.hostPlatform.system;
  tools = {
    shell = [ "${pkgs.bash}/bin/bash" ];
    path = lib.makeBinPath [
      pkgs.coreutils
      pkgs.findutils
    ];
    cpio = "${pkgs.cpio}/bin/cpio";
    mksquashfs = "${pkgs.squashfsTools}/bin/mksquashfs";
  };
  segments = import ../lib/segments.nix {
    inherit system tools;
    compression = "-comp zstd -Xcompression-level ${toString cfg.compressionLevel}";
  };

  # The last one holds what the others do not, and the registration of everything.
  last = "90-system";
  names = lib.attrNames cfg.segments ++ [ last ];
  closures =
    lib.mapAttrs (_: roots: pkgs.closureInfo { rootPaths = roots; }) cfg.segments
    // {
      ${last} = pkgs.closureInfo { rootPaths = [ config.system.build.toplevel ]; };
    };
  fetched = cfg.loader == "stage-1";
  cut =
    name:
    segments.cut {
      inherit name;
      closure = closures.${name};
      inherit fetched;
      without = map (lower: closures.${lower}) (lib.filter (other: other < name) names);
    };
  data = import ../plans;
in
{
  options.nixmetal.image = {
    name = mkOption {
      type = types.strMatching "[A-Za-z0-9][A-Za-z0-9._-]*";
      default = "netboot-image";
      example = "hydra-builder";
      description = "Name of the image; its store path name is the image id.";
    };
    compressionLevel = mkOption {
      type = types.ints.between 1 22;
      default = 15;
      example = 6;
      description = "Level of zstd. A lower one builds sooner and travels longer: docs/segments.md has measured times and sizes.";
    };
    segments = mkOption {
      type = types.attrsOf (types.listOf types.package);
      # The image's own, below, are definitions: an operator's groups join them.
      default = { };
      description = ''
        Groups of packages that stand in segments of their own, with their closures, in the order of their names. What seldom changes stands
        in a low one. To the web host only the store paths travel that it lacks, whatever segment they stand in; a machine whose stage 1
        fetches the segments takes whole ones.
      '';
      example = lib.literalExpression ''{ "10-base" = [ pkgs.glibc ]; }'';
    };
    segmentNames = mkOption {
      type = types.listOf types.singleLineStr;
      internal = true;
      readOnly = true;
      example = [ "90-system" ];
      description = "All segments, in the order of their names.";
    };
    overlay = mkOption {
      type = types.bool;
      internal = true;
      default = true;
      example = false;
      description = "Whether the store is the segments with an overlay; else the root unpacks them.";
    };
  };

  config = {
    assertions = [
      {
        assertion = lib.all (name: name < last) (lib.attrNames cfg.segments);
        message = ''
          nixmetal.image.segments has ${toString (lib.filter (name: name >= last) (lib.attrNames cfg.segments))}, but ${last} comes
          last and holds the rest. Give it a lower number.
        '';
      }
    ];

    nixmetal.image.segmentNames = names;
    nixmetal.image.segments = {
      "10-base" = [
        pkgs.bash
        pkgs.coreutils
        config.systemd.package
      ];
      "20-kernel" = [ config.system.modulesTree ];
      # Large, and the same for a long time.
      "30-firmware" = [ config.hardware.firmware ];
      "40-nix" = [ config.nix.package ];
    };

    systemd.services.register-nix-paths = {
      description = "Register the image's store paths in Nix's database";
      wantedBy = [ "sysinit.target" ];
      after = [ "local-fs.target" ];
      before = [
        "sysinit.target"
        "nix-daemon.socket"
        "nix-daemon.service"
      ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        StandardInput = "file:${
          if cfg.overlay then "/nix/.segments/${last}/nix-path-registration" else "/nix/.nix-path-registration"
        }";
        ExecStart = "${config.nix.package}/bin/nix-store --load-db";
      };
    };

    system.build.nixmetalImage = import ../lib/image.nix { inherit system tools; } {
      inherit (cfg) name;
      kernel = "${config.boot.kernelPackages.kernel}/${config.system.boot.loader.kernelFile}";
      # Without context: the words name the system, and the image directory shall not keep it alive.
      kernelParams = map builtins.unsafeDiscardStringContext (
        [ "init=${config.system.build.toplevel}/init" ] ++ config.boot.kernelParams
      );
      # What may boot it: playbooks/launch_spot.yml looks before it buys.
      plans = lib.concatMap (slug: data.names data.plans.${slug}) config.nixmetal.plans;
      initrds = [
        {
          name = "initrd-00-stage-1";
          pieces = [ "${config.system.build.initialRamdisk}/initrd" ];
        }
      ]
      ++ lib.optional (!fetched) {
        name = "initrd-10-system";
        pieces = map cut names;
      };
      segments = lib.optionals fetched (
        map (name: {
          name = "${name}.squashfs";
          file = cut name;
        }) names
      );
    };
  };
}
