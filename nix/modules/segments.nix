# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Who loads the segments: iPXE, with the initrds, or stage 1 itself, by lib/fetch-segments.sh.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.image;

  # Of overlay.nix's mounts, as systemd names them in stage 1 (systemd-escape(1)). Not by a mount option: NixOS writes one fstab for both
  # stages, and stage 2 has no such unit.
  mounts = lib.optionals cfg.overlay (
    map (name: "sysroot-nix-.segments-${lib.replaceStrings [ "-" ] [ "\\x2d" ] name}.mount") cfg.segmentNames
  );
in
{
  options.nixmetal.image = {
    loader = mkOption {
      type = types.enum [
        "ipxe"
        "stage-1"
      ];
      default = "ipxe";
      example = "stage-1";
      description = ''
        Who loads the segments. `ipxe` loads them with stage 1: simplest, and at most 2 GB under EFI. `stage-1` fetches and verifies each by
        its digest, as fast as the kernel's network goes, and needs the network's driver in `nixmetal.image.networkModules`.
      '';
    };
    networkModules = mkOption {
      type = types.listOf types.singleLineStr;
      default = [
        "bnxt_en"
        "e1000e"
        "i40e"
        "ice"
        "igb"
        "ixgbe"
        "mlx4_en"
        "mlx5_core"
        "virtio_net"
        "virtio_pci"
      ];
      example = [ "mlx5_core" ];
      description = "Drivers of network ports that stage 1 has, with `loader = \"stage-1\"`.";
    };
    fetchTimeout = mkOption {
      type = types.ints.positive;
      default = 900;
      example = 300;
      description = "Seconds in which stage 1 must have all segments; then the machine starts over.";
    };
  };

  config = mkIf (cfg.loader == "stage-1") {
    boot.initrd = {
      availableKernelModules = cfg.networkModules;
      systemd = {
        network = {
          enable = true;
          wait-online.anyInterface = true;
          networks."30-ports" = {
            matchConfig = {
              Type = "ether";
              Kind = "!*";
            };
            networkConfig.DHCP = "yes";
          };
        };
        storePaths = [ "${../lib/fetch-segments.sh}" ];
        extraBin.curl = "${pkgs.curl}/bin/curl";
        contents."/etc/ssl/certs/ca-bundle.crt".source = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
        services.nixmetal-fetch-segments = {
          description = "Fetch and verify the image's segments";
          wants = [ "network-online.target" ];
          after = [ "network-online.target" ];
          before = mounts ++ [ "initrd-fs.target" ];
          requiredBy = mounts ++ [ "initrd-fs.target" ];
          environment = {
            NIXMETAL_SEGMENT_TIMEOUT = toString cfg.fetchTimeout;
            CURL_CA_BUNDLE = "/etc/ssl/certs/ca-bundle.crt";
          };
          script = ''
            /bin/sh ${../lib/fetch-segments.sh} && exit 0
            echo "nixmetal: the segments are not here; this machine starts over in 60 seconds"
            sleep 60
            exit 1
          '';
          unitConfig = {
            DefaultDependencies = false;
            FailureAction = "reboot-force";
          };
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            StandardOutput = "journal+console";
            StandardError = "journal+console";
          };
        };
        services.nixmetal-unpack-store = mkIf (!cfg.overlay) {
          requires = [ "nixmetal-fetch-segments.service" ];
          after = [ "nixmetal-fetch-segments.service" ];
        };
      };
    };
  };
}
