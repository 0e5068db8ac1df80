# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Equinix Metal c3.medium.x86: one AMD EPYC 7402P, 24 cores, 48 threads, 64 GB, two 25 Gbit/s ports.
{
  nixmetal.builder = {
    systems = [
      "x86_64-linux"
      "i686-linux"
    ];
    features = [
      "kvm"
      "nixos-test"
      "benchmark"
    ];
    # 8 x 6 = 48 threads.
    maxJobs = 8;
    coresPerJob = 6;
  };

  boot.kernelParams = [ "console=ttyS1,115200n8" ];
  boot.kernelModules = [ "kvm-amd" ];
  hardware.cpu.amd.updateMicrocode = true;
  # Of the network ports.
  hardware.enableRedistributableFirmware = true;
}
