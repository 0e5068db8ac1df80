#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: tree (what goes in), cpio, out.
set -eu
# A copy: in a store that was optimised, equal files are hard links of one another, and cpio would write them as such.
cp -r "$tree" root
cd root
find . -exec touch -h -d '1970-01-01 00:00:01' {} +
find . | LC_ALL=C sort | "$cpio" --quiet --create --format=newc --reproducible --owner=0:0 >"$out"
