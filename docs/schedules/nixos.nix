# The same timers on NixOS: a module for the machine that the playbooks run on.
{ pkgs, lib, ... }:
let
  every = {
    machines = "5min";
    reclaim = "1min";
    autoscale = "5min";
  };
  ansible = pkgs.python3.withPackages (packages: [ packages.ansible-core packages.jmespath ]);
  service = playbook: {
    description = "nixmetal.builders: ${playbook}";
    wants = [ "network-online.target" ];
    after = [ "network-online.target" ];
    path = [ ansible pkgs.openssh ];
    environment = {
      ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED = "true";
      ANSIBLE_CALLBACK_RESULT_FORMAT = "yaml";
      ANSIBLE_DISPLAY_SKIPPED_HOSTS = "false";
    };
    serviceConfig = {
      Type = "oneshot";
      User = "nixmetal";
      # METAL_AUTH_TOKEN=... ; never a path of the Nix store, which everybody reads.
      EnvironmentFile = "/run/keys/nixmetal.env";
      TimeoutStartSec = "30min";
      ExecStart = "${ansible}/bin/ansible-playbook -i /etc/nixmetal/inventory nixmetal.builders.${playbook}";
    };
  };
  timer = playbook: interval: {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      Unit = "nixmetal-${playbook}.service";
      OnBootSec = "1min";
      OnUnitInactiveSec = interval;
    };
  };
in
{
  systemd.services = lib.mapAttrs' (playbook: interval: lib.nameValuePair "nixmetal-${playbook}" (service playbook)) every;
  systemd.timers = lib.mapAttrs' (playbook: interval: lib.nameValuePair "nixmetal-${playbook}" (timer playbook interval)) every;
  users.users.nixmetal = {
    isSystemUser = true;
    group = "nixmetal";
    home = "/var/lib/nixmetal";
    createHome = true;
  };
  users.groups.nixmetal = { };
}
