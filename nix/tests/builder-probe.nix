# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Where did this build run? The output says the boot id and the image id of the machine that built it. The expected boot id is
# part of the derivation: the same boot asks only once, a new boot asks anew.
#
#   nix-build nix/tests/builder-probe.nix --argstr bootId ID --max-jobs 0 --builders '...'
{
  # /proc/sys/kernel/random/boot_id of the machine, as the inventory knows it.
  bootId,
  system ? "x86_64-linux",
  # A static busybox of that system, on the machine that evaluates.
  busybox ? "/bin/busybox",
}:
let
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
    filter = path: _: baseNameOf path == baseNameOf busybox;
  };
in
derivation {
  name = "builder-probe-${bootId}";
  inherit system;
  builder = "${static}/${baseNameOf busybox}";
  args = [
    "sh"
    "-euc"
    ''
      read -r boot_id </proc/sys/kernel/random/boot_id
      image_id=
      for word in $(cat /proc/cmdline); do
        case $word in nixmetal.image=*) image_id=''${word#*=} ;; esac
      done
      echo "{\"boot_id\": \"$boot_id\", \"image_id\": \"$image_id\", \"system\": \"$system\"}" >"$out"
    ''
  ];
  allowSubstitutes = false;
  preferLocalBuild = false;
}
