# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The log: in memory, so it ends with the machine, unless it is sent to a journal elsewhere.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.journal;
in
{
  options.nixmetal.journal = {
    url = mkOption {
      type = types.nullOr (types.strMatching "https?://.+");
      default = null;
      example = "https://journal.example.org:19532";
      description = ''
        The systemd-journal-remote that the machines send their journal to. They show no client certificate: its key would stand in the
        image, which everybody on the way can read. Limit by network who may write there.
      '';
    };
    trustedCertificate = mkOption {
      type = types.nullOr types.lines;
      default = null;
      example = "-----BEGIN CERTIFICATE-----...";
      description = "Certificate authority of that server, in PEM. `null` trusts the authorities that NixOS does.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.trustedCertificate == null || (cfg.url != null && lib.hasPrefix "https://" cfg.url);
        message = ''
          nixmetal.journal.trustedCertificate is set, but nixmetal.journal.url is ${if cfg.url == null then "not" else cfg.url}. Give an
          https URL.
        '';
      }
    ];

    services.journald.storage = "volatile";

    systemd.services.nixmetal-journal-upload = mkIf (cfg.url != null) {
      description = "Send the journal to ${cfg.url}";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        # "-": no client certificate (systemd-journal-upload(8)).
        ExecStart = lib.concatStringsSep " " [
          "${config.systemd.package}/lib/systemd/systemd-journal-upload"
          "--save-state=/var/lib/nixmetal-journal-upload/state"
          "--url=${cfg.url}"
          "--key=- --cert=-"
          "--trust=${
            if cfg.trustedCertificate == null then
              "/etc/ssl/certs/ca-certificates.crt"
            else
              pkgs.writeText "journal-authority.pem" cfg.trustedCertificate
          }"
        ];
        DynamicUser = true;
        SupplementaryGroups = "systemd-journal";
        StateDirectory = "nixmetal-journal-upload";
        Restart = "always";
        RestartSec = 15;
      };
    };
  };
}
