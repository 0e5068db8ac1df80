#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fetches what the metadata service says of this machine to the file that is its argument: whole, or not at all.
#
# The URL is nixmetal.metadata= of the kernel command line. Environment, all optional:
#   NIXMETAL_CMDLINE             instead of /proc/cmdline
#   NIXMETAL_RETRY_SECONDS       how long the request is repeated (default 180)
#
# Needs curl, cat, mv. Status 1: there is no answer, or none of the form {...}.
set -euf

file=$1
default_metadata=https://metadata.platformequinix.com/metadata

fail() { echo "fetch-metadata: $*" >&2; exit 1; }

url=$default_metadata
# Word splitting is how the kernel reads its command line too.
# shellcheck disable=SC2013
for word in $(cat "${NIXMETAL_CMDLINE:-/proc/cmdline}"); do
  case $word in nixmetal.metadata=*) url=${word#*=} ;; esac
done

curl --silent --show-error --fail --globoff --max-time 30 --connect-timeout 10 --max-filesize 1048576 \
  --retry 1000 --retry-all-errors --retry-delay 2 --retry-max-time "${NIXMETAL_RETRY_SECONDS:-180}" \
  --output "$file.part" "$url" || fail "no metadata from $url"
read -r beginning <"$file.part" || :
case $beginning in '{'*) ;; *) fail "$url answers with something else than metadata" ;; esac
mv "$file.part" "$file"
