#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# curl for stage 1, out of the layer that iPXE has loaded, by the loader of that layer's own C library.
layer=/layers/05-curl
libraries=$(echo $layer/usr/lib/*-linux-gnu)
# By its own name: the link in lib64 leads to the root.
loader=$(echo "$libraries"/ld-linux*.so.2)
exec "$loader" --library-path "$libraries" $layer/usr/bin/curl "$@"
