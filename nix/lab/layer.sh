#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by unpack.sh: one group of packages as a layer of the root file system.
cd "$unpacked"
rm -rf usr/share usr/games usr/lib/systemd usr/lib/udev usr/lib/pkgconfig etc/init.d etc/default etc/ssh var
mkdir "$out"
cp -a . "$out"
