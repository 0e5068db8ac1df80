#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What this machine takes on (jobs, cores, features), chosen from a table by its hostname, else by its plan, so that one image serves
# all plans of a system:
#
#   choose-variant.sh TABLE DIRECTORY [HOSTNAME [PLAN]]
#
# Writes DIRECTORY/variant.env, which phone-home.sh takes as its environment, and DIRECTORY/nix.conf, which Nix includes; each whole or
# not at all. The table has a line for each variant, of nine words; lists are joined by commas, and "-" is none:
#
#   NAME HOSTNAMES PLANS JOBS CORES SPEED SYSTEMS FEATURES MANDATORY
#
# HOSTNAMES are a shell's patterns. The first line counts whose HOSTNAMES have the hostname and whose PLANS are "-" or have the plan;
# else the first without HOSTNAMES whose PLANS have the plan; else the first that has neither. Of JOBS and CORES one may be "-": it is
# what makes their product the number of processors.
#
# 32-bit ARM systems are left out where the processor does not run them (util-linux #725: the kernel then refuses the personality).
#
# Environment: NIXMETAL_PROCESSORS (instead of nproc's answer). Needs cat, mv, nproc; setarch (util-linux) for 32-bit ARM.
# Status 1, and nothing written: no line fits, or the table is wrong.
set -euf

table=$1
directory=$2
hostname=${3:-}
plan=${4:-}
processors=${NIXMETAL_PROCESSORS:-$(nproc)}

say() { echo "choose-variant: $*"; }
fail() { say "$*" >&2; exit 1; }

# words LIST: a comma list as words; "-" as nothing
words() {
  rest=$1
  [ "$rest" != - ] || rest=
  while [ -n "$rest" ]; do
    printf '%s ' "${rest%%,*}"
    case $rest in *,*) rest=${rest#*,} ;; *) rest= ;; esac
  done
}

has_plan() {
  for known in $(words "$1"); do
    [ "$known" != "$plan" ] || return 0
  done
  return 1
}

has_hostname() {
  for pattern in $(words "$1"); do
    # shellcheck disable=SC2254 # a pattern, as the table has it
    case $hostname in $pattern) return 0 ;; esac
  done
  return 1
}

# fits KIND HOSTNAMES PLANS
fits() {
  case $1 in
    hostname) has_hostname "$2" && { [ "$3" = - ] || has_plan "$3"; } ;;
    plan) [ "$2" = - ] && has_plan "$3" ;;
    any) [ "$2" = - ] && [ "$3" = - ] ;;
  esac
}

# choose: sets the nine words of the line that counts
choose() {
  for kind in hostname plan any; do
    while read -r name hostnames plans jobs cores speed systems features mandatory more; do
      case $name in '' | '#'*) continue ;; esac
      [ -n "$mandatory" ] && [ -z "$more" ] || fail "$table: the line of '$name' has not nine words"
      if fits "$kind" "$hostnames" "$plans"; then
        by=$kind
        return
      fi
    done <"$table"
  done
  fail "$table has no variant for hostname '$hostname' and plan '$plan', and none for any machine"
}

# number WHAT VALUE
number() {
  case $2 in '' | 0* | *[!0-9]*) fail "$table: $1 of '$name' is '$2', not a number of at least 1" ;; esac
}

at_least_one() { if [ "$1" -gt 0 ]; then echo "$1"; else echo 1; fi; }

count_jobs_and_cores() {
  [ "$jobs-$cores" != --- ] || fail "$table: '$name' leaves both jobs and cores open"
  if [ "$jobs" = - ]; then
    number cores "$cores"
    jobs=$(at_least_one $((processors / cores)))
  elif [ "$cores" = - ]; then
    number jobs "$jobs"
    cores=$(at_least_one $((processors / jobs)))
  fi
  number jobs "$jobs"
  number cores "$cores"
  number speed "$speed"
  [ $((jobs * cores)) = "$processors" ] ||
    say "$jobs jobs of $cores cores, but this machine has $processors processors: correct variant '$name'" >&2
}

# runs SYSTEM
runs() {
  case $1 in
    armv[67]l-linux) setarch linux32 true 2>/dev/null ;;
  esac
}

# supported SYSTEMS: as words, without those that this processor does not run
supported() {
  for system in $(words "$1"); do
    if runs "$system"; then printf '%s ' "$system"; else say "this processor does not run $system" >&2; fi
  done
}

# joined WORD...: with one space between them
joined() { printf '%s' "$*"; }

# write FILE: standard input becomes DIRECTORY/FILE
write() {
  cat >"$directory/.$1"
  mv "$directory/.$1" "$directory/$1"
}

choose
count_jobs_and_cores
# shellcheck disable=SC2046 # lists of words, split on purpose
systems=$(joined $(supported "$systems"))
# shellcheck disable=SC2046
features=$(joined $(words "$features"))
# shellcheck disable=SC2046
mandatory=$(joined $(words "$mandatory"))
[ -n "$systems" ] || fail "$table: '$name' has no system that this machine runs"
extra=
case $systems in *' '*) extra=${systems#* } ;; esac

write nix.conf <<EOT
max-jobs = $jobs
cores = $cores
system-features = $features
extra-platforms = $extra
EOT
write variant.env <<EOT
NIXMETAL_VARIANT="$name"
NIXMETAL_SYSTEMS="$systems"
NIXMETAL_FEATURES="$features"
NIXMETAL_MANDATORY_FEATURES="$mandatory"
NIXMETAL_MAX_JOBS="$jobs"
NIXMETAL_SPEED_FACTOR="$speed"
EOT
say "$name, by $by: $jobs jobs of $cores cores, $systems, features ${features:-none}"
