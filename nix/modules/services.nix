# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What runs on a builder beside Nix, and what does not.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.monitoring;
in
{
  options.nixmetal.monitoring = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether Prometheus' node exporter runs, open to the network.";
    };
    port = mkOption {
      type = types.port;
      default = 9100;
      example = 9100;
      description = "TCP port of the node exporter.";
    };
  };

  config = {
    services.openssh = {
      enable = true;
      # One key, made at every boot: nothing of it is in the image, and the machine tells it when it phones home.
      hostKeys = [
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "prohibit-password";
      };
    };

    services.prometheus.exporters.node = mkIf cfg.enable {
      enable = true;
      inherit (cfg) port;
      enabledCollectors = [ "systemd" ];
      openFirewall = true;
    };

    # The provider's network gives an address by DHCP to whichever port has a link.
    networking.useNetworkd = true;
    networking.useDHCP = true;
    networking.hostName = lib.mkDefault "builder";
    systemd.network.wait-online.anyInterface = true;
    # Scanners would fill the log, which lies in memory.
    networking.firewall.logRefusedConnections = false;

    services.journald.storage = "volatile";
    documentation.enable = false;
    system.stateVersion = lib.mkDefault lib.trivial.release;
  };
}
