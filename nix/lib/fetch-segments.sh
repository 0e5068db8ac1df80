#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stage 1 fetches the image's segments: each into NIXMETAL_SEGMENT_DIRECTORY under its name, and only after its size and SHA-256
# are those that the first initrd names. Ends with status 0 when all are there, else with 1 and the reason on the console, at the
# latest at its deadline. A connection that fails is tried again, with growing pauses, from the byte where it ended; content that
# is not the named one is fetched once more and then refused.
#
# Where from: nixmetal.blobs=URL of the kernel command line (a release), the file URL/SHA256; else nixmetal.script=URL (the plain
# netboot.ipxe of an image directory, which tells where it was itself loaded from), the file NAME beside it. What iPXE has put into the
# directory already is verified and not fetched.
#
# Environment, all optional:
#   NIXMETAL_SEGMENTS            the list, lines "NAME SIZE SHA256" in mount order (default /etc/nixmetal/segments)
#   NIXMETAL_SEGMENT_DIRECTORY   default /segments
#   NIXMETAL_SEGMENT_TIMEOUT     seconds for all of them together (default 900)
#   NIXMETAL_STALL_TIMEOUT       seconds without a byte after which a connection is given up (default 30)
#   NIXMETAL_CMDLINE             instead of /proc/cmdline
#
# Needs curl, sha256sum, cat, stat, mv, rm, mkdir, sleep. The network must be up. For https, CURL_CA_BUNDLE names the trusted CAs.
set -euf

list=${NIXMETAL_SEGMENTS:-/etc/nixmetal/segments}
directory=${NIXMETAL_SEGMENT_DIRECTORY:-/segments}
seconds=${NIXMETAL_SEGMENT_TIMEOUT:-900}
stall=${NIXMETAL_STALL_TIMEOUT:-30}
longest_pause=30

say() { echo "fetch-segments: $*"; }
fail() { say "$*" >&2; exit 1; }

# Seconds since boot: the clock may be set meanwhile.
uptime_seconds() {
  read -r uptime _ </proc/uptime
  echo "${uptime%%.*}"
}
seconds_left() { echo $((deadline - $(uptime_seconds))); }

# kernel_parameter NAME: the last one wins, as for the kernel.
kernel_parameter() {
  value=
  # Word splitting is how the kernel reads its command line too.
  # shellcheck disable=SC2013
  for word in $(cat "${NIXMETAL_CMDLINE:-/proc/cmdline}"); do
    case $word in "$1="*) value=${word#*=} ;; esac
  done
  printf '%s' "$value"
}

find_source() {
  blobs=$(kernel_parameter nixmetal.blobs)
  beside=$(kernel_parameter nixmetal.script)
  case ${blobs:-$beside} in
    http://?*/* | https://?*/*) ;;
    '') fail "neither nixmetal.blobs= nor nixmetal.script= is on the kernel command line: it is not known where the segments are" ;;
    *) fail "the segments' address ${blobs:-$beside} is no http or https URL" ;;
  esac
}

# url_of NAME SHA256
url_of() {
  if [ -n "$blobs" ]; then
    printf '%s' "${blobs%/}/$2"
  else
    printf '%s' "${beside%/*}/$1"
  fi
}

# check_line NUMBER NAME SIZE SHA256 REST
check_line() {
  case $2 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]* | *.part) fail "$list, line $1: '$2' is no segment's name" ;; esac
  case $3 in '' | 0* | *[!0-9]*) fail "$list, line $1: '$3' is no size" ;; esac
  case $4 in *[!0-9a-f]*) fail "$list, line $1: '$4' is no SHA-256" ;; esac
  [ ${#4} = 64 ] || fail "$list, line $1: '$4' is no SHA-256"
  [ -z "$5" ] || fail "$list, line $1: there is more than a name, a size and a SHA-256"
}

check_list() {
  [ -r "$list" ] || fail "$list is missing: the first initrd must name the segments"
  count=0
  while read -r name size digest rest; do
    count=$((count + 1))
    check_line "$count" "$name" "$size" "$digest" "$rest"
  done <"$list"
  [ "$count" -gt 0 ] || fail "$list names no segment"
}

# size_of FILE: 0 when there is none
size_of() {
  if [ -e "$1" ]; then stat -L -c %s "$1"; else echo 0; fi
}

# is_right FILE SIZE SHA256: else $seen says what is there
is_right() {
  seen="$(size_of "$1") bytes instead of $2"
  [ "$(size_of "$1")" = "$2" ] || return 1
  sum=$(sha256sum "$1")
  seen="SHA-256 ${sum%% *} instead of $3"
  [ "${sum%% *}" = "$3" ]
}

# transfer URL FILE SIZE: one connection, from the end of what FILE holds. The status is curl's, and $complaint its words.
transfer() {
  left=$(seconds_left)
  [ "$left" -gt 0 ] || fail "$1 is not here after $seconds seconds"
  status=0
  complaint=$(curl --silent --show-error --fail --location --globoff --proto '=http,https' --max-redirs 5 \
    --connect-timeout 10 --speed-limit 1 --speed-time "$stall" --max-time "$left" \
    --max-filesize "$3" --continue-at - --output "$2" "$1" 2>&1) || status=$?
  return $status
}

# pause_before_retry: one second, then twice as long each time, and never beyond the deadline
pause_before_retry() {
  left=$(seconds_left)
  [ "$left" -gt "$pause" ] || fail "$1 is not here after $seconds seconds: $complaint"
  sleep "$pause"
  pause=$((pause * 2))
  [ "$pause" -le "$longest_pause" ] || pause=$longest_pause
}

# connect NAME URL FILE SIZE: until a connection has ended well
connect() {
  pause=1
  until [ "$(size_of "$3")" -ge "$4" ] || transfer "$2" "$3" "$4"; do
    case $status-$complaint in
      # The server cannot go on in the middle, or has less than is here already.
      33-* | 36-* | 22-*416*) rm -f "$3" ;;
      23-*) fail "$1 cannot be written to $directory (it needs $4 bytes): $complaint" ;;
      63-*) seen="more bytes than $4" && return 1 ;;
    esac
    say "$1: $complaint; next try in $pause s"
    pause_before_retry "$1"
  done
}

# is_here NAME SIZE SHA256: loaded by iPXE, or fetched before
is_here() {
  [ -e "$directory/$1" ] || return 1
  is_right "$directory/$1" "$2" "$3" || { say "$1 is here already, but has $seen"; return 1; }
  say "$1: is here already, verified"
}

# fetch NAME SIZE SHA256
fetch() {
  find_source
  url=$(url_of "$1" "$3")
  part=$directory/$1.part
  for try in first second; do
    if connect "$1" "$url" "$part" "$2" && is_right "$part" "$2" "$3"; then
      mv "$part" "$directory/$1"
      say "$1: $2 bytes, verified ($(uptime_seconds) s after the start)"
      return
    fi
    rm -f "$part"
    say "$1: $url has $seen (the $try time)"
  done
  fail "$1 is refused: $url has $seen"
}

deadline=$(($(uptime_seconds) + seconds))
seen=
complaint=
check_list
mkdir -p "$directory"
while read -r name size digest; do
  is_here "$name" "$size" "$digest" || fetch "$name" "$size" "$digest"
done <"$list"
say "all $count segments are here and verified"
