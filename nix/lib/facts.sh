#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What an SSH key may read that may do nothing else: the forced command of the read-only facts key. Whatever was asked for, one line of
# JSON is the answer:
#
#   {"boot_id": "86dd3787-...", "image_id": "yd7qgwq5...-lab-image", "jobs": 2, "sessions": 3}
#
# boot_id is new at every boot. image_id is nixmetal.image= of the kernel command line. jobs is the number of builds that run now: of
# Nix's build users, each of which serves one build at a time, those who have a process. sessions is the number of connections that are
# open to Nix from elsewhere: one of them may be copying what a build needs, or what it has made. What is not known is null, never a
# guess; who may not see other users' processes knows of neither.
#
# Environment, all optional: NIXMETAL_PROC (instead of /proc), NIXMETAL_GROUP_FILE (instead of /etc/group), NIXMETAL_BUILD_GROUP
# (default nixbld). sshd gives a client's variables to none of them, as long as AcceptEnv does not name them.
#
# Needs cat. Runs as any user.
set -euf

proc=${NIXMETAL_PROC:-/proc}
group_file=${NIXMETAL_GROUP_FILE:-/etc/group}
build_group=${NIXMETAL_BUILD_GROUP:-nixbld}

# json_name VALUE: quoted, or null when it is empty or is no name that we make.
json_name() {
  case $1 in '' | *[!A-Za-z0-9+._=-]*) printf null ;; *) printf '"%s"' "$1" ;; esac
}

image_id() {
  value=
  # Word splitting is how the kernel reads its command line too.
  # shellcheck disable=SC2013
  for word in $(cat "$proc/cmdline"); do
    case $word in nixmetal.image=*) value=${word#*=} ;; esac
  done
  json_name "$value"
}

# build_group_id: nothing when there is no such group
build_group_id() {
  while IFS=: read -r name _ number _; do
    if [ "$name" = "$build_group" ]; then echo "$number"; fi
  done <"$group_file"
}

# owner_of STATUS-FILE: sets $user and $group. A process that has ended meanwhile has neither.
owner_of() {
  user=
  group=
  while read -r field number _; do
    case $field in
      Uid:) user=$number ;;
      Gid:) group=$number ;;
    esac
  done <"$1"
}

# The first process is there on every machine: who does not see it sees no other user's.
sees_processes() { [ -r "$proc/1/status" ]; }

running_builds() {
  wanted=$(build_group_id)
  { [ -n "$wanted" ] && sees_processes; } || { printf null; return; }
  builders=' '
  count=0
  set +f
  for status in "$proc"/[0-9]*/status; do
    { owner_of "$status"; } 2>/dev/null || continue
    [ "$group" = "$wanted" ] || continue
    case $builders in *" $user "*) continue ;; esac
    builders="$builders$user "
    count=$((count + 1))
  done
  printf '%d' "$count"
}

# What ssh:// and ssh-ng:// start here. The words of a command line are separated by zero bytes, which `read` passes over.
open_sessions() {
  sees_processes || { printf null; return; }
  count=0
  set +f
  for file in "$proc"/[0-9]*/cmdline; do
    words=
    { IFS= read -r words <"$file"; } 2>/dev/null || :
    case $words in *nix-store--serve* | *nix-daemon--stdio*) count=$((count + 1)) ;; esac
  done
  printf '%d' "$count"
}

printf '{"boot_id": %s, "image_id": %s, "jobs": %s, "sessions": %s}\n' \
  "$(json_name "$(cat "$proc/sys/kernel/random/boot_id")")" "$(image_id)" "$(running_builds)" "$(open_sessions)"
