#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# end.sh DIRECTORY: ends the machines below DIRECTORY, as root, and removes what they left. A first process that is over, or is another program by now,
# is left alone.
set -eu

cd "$1"
for file in */inside; do
  [ -e "$file" ] || continue
  process=$(cat "$file")
  if tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null | grep -q "boot.sh $PWD/${file%/*} "; then
    kill -KILL "$process"
  fi
done
rm -rf ./*
