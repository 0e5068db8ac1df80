#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Tells the metadata service who this machine is: its SSH host key (event 1001), what it can build (event 1002), then that it is
# ready (phone home), in this order, so that an active machine always has a key. Run once, when sshd answers.
#
# The metadata URL is nixmetal.metadata= of the kernel command line. Environment, all optional:
#   NIXMETAL_SYSTEMS             system types, e.g. "x86_64-linux i686-linux" (default: uname -m, on linux)
#   NIXMETAL_FEATURES            system features, e.g. "kvm big-parallel"
#   NIXMETAL_MANDATORY_FEATURES  features that a build must ask for to come here
#   NIXMETAL_MAX_JOBS            default: the number of processors
#   NIXMETAL_SPEED_FACTOR        default: 1
#   NIXMETAL_HOST_KEY            public key file (default /etc/ssh/ssh_host_ed25519_key.pub)
#   NIXMETAL_CMDLINE             instead of /proc/cmdline
#   NIXMETAL_BOOT_ID             instead of /proc/sys/kernel/random/boot_id
#   NIXMETAL_RETRY_SECONDS       how long a request is repeated (default 900)
#
# Needs curl, sed, uname, cat, cut, nproc. Metadata is read by pattern, never evaluated.
set -eu

default_metadata=https://metadata.platformequinix.com/metadata
host_key_file=${NIXMETAL_HOST_KEY:-/etc/ssh/ssh_host_ed25519_key.pub}
systems=${NIXMETAL_SYSTEMS:-$(uname -m)-linux}

say() { echo "phone-home: $*"; }
fail() { say "$*" >&2; exit 1; }

# kernel_parameter NAME DEFAULT
kernel_parameter() {
  value=$2
  # Word splitting is how the kernel reads its command line too.
  # shellcheck disable=SC2013
  for word in $(cat "${NIXMETAL_CMDLINE:-/proc/cmdline}"); do
    case $word in "$1="*) value=${word#*=} ;; esac
  done
  printf '%s' "$value"
}

request() {
  curl --silent --show-error --fail --globoff --max-time 30 --connect-timeout 10 \
    --retry 1000 --retry-all-errors --retry-delay 2 --retry-max-time "${NIXMETAL_RETRY_SECONDS:-900}" "$@"
}

# json_string VALUE: quoted; our values hold no control characters.
json_string() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }

# json_strings WORD...: a list
json_strings() {
  separator=
  printf '['
  for item in "$@"; do
    printf '%s' "$separator"
    json_string "$item"
    separator=,
  done
  printf ']'
}

# post_event CODE MESSAGE: the message is itself JSON, sent as a string
post_event() {
  request --output /dev/null --header 'Content-Type: application/json' \
    --data "{\"state\":\"succeeded\",\"code\":$1,\"message\":$(json_string "$2")}" "$events_url"
}

host_keys() {
  # Type and key without the comment.
  key=$(cut -d ' ' -f 1,2 "$host_key_file")
  case $key in
    ssh-*' '?* | ecdsa-*' '?*) ;;
    *) fail "$host_key_file holds no public key: nothing is announced" ;;
  esac
  separator=
  printf '['
  for system in $systems; do
    printf '%s{"system":"%s","port":22,"key":"%s"}' "$separator" "$system" "$key"
    separator=,
  done
  printf ']'
}

self_description() {
  # shellcheck disable=SC2086 # lists of words, split on purpose
  printf '{"system_types":%s,"features":%s,"mandatory_features":%s,"max_jobs":%d,"speed_factor":%s,"image_id":"%s","boot_id":"%s"}' \
    "$(json_strings $systems)" "$(json_strings ${NIXMETAL_FEATURES:-})" "$(json_strings ${NIXMETAL_MANDATORY_FEATURES:-})" \
    "${NIXMETAL_MAX_JOBS:-$(nproc)}" "${NIXMETAL_SPEED_FACTOR:-1}" "$(kernel_parameter nixmetal.image '')" \
    "$(cat "${NIXMETAL_BOOT_ID:-/proc/sys/kernel/random/boot_id}")"
}

metadata_url=$(kernel_parameter nixmetal.metadata "$default_metadata")
say "asking $metadata_url"
metadata=$(request "$metadata_url") || fail "no metadata from $metadata_url"
phone_home_url=$(printf '%s' "$metadata" | sed -n 's/.*"phone_home_url" *: *"\([^"]*\)".*/\1/p' | sed 's,\\/,/,g')
case $phone_home_url in
  http://?*/?* | https://?*/?*) ;;
  *) fail "the metadata of $metadata_url names no phone_home_url" ;;
esac
events_url=${phone_home_url%/*}/events

keys=$(host_keys)
post_event 1001 "$keys"
post_event 1002 "$(self_description)"
request --output /dev/null --request POST "$phone_home_url"
say "host key and self-description are with $events_url; this machine is ready"
