# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# One build step: a shell script run by `tools`, without stdenv, so that the same step serves an image made of Debian
# packages and one made of nixpkgs.
#
#   tools.shell  program and arguments that run a POSIX script, e.g. [ "${busybox}/busybox" "sh" ] or [ "${bash}/bin/sh" ]
#   tools.path   PATH of the step: coreutils and findutils (may be empty when the shell is busybox, which has them built in)
#   tools.cpio, tools.mksquashfs
#                programs; cpio must be GNU's. By full name, because busybox prefers its own cpio to any on PATH.
{ system, tools }:
{ name, script, ... }@args:
derivation (
  {
    inherit system;
    builder = builtins.head tools.shell;
    args = builtins.tail tools.shell ++ [ "-eu" script ];
    PATH = tools.path;
    inherit (tools) cpio mksquashfs;
    # What is bound to the machine that builds: no cache could hold it, and other stores gain nothing from trying.
    allowSubstitutes = false;
  }
  // removeAttrs args [ "script" ]
)
