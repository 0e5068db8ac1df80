#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Which disks an image may erase: prints their device paths, one a line, sorted by name. It erases nothing itself.
#
# A disk is chosen when the allow list names it, its kind is known to be local (nvme, sata, sas, raid, virtio), and it is neither
# removable, read-only, empty, mounted, swapped to, held by another device (RAID, LVM, multipath, crypt), nor one of two with the same
# world-wide id. What is not understood is not chosen: USB, iSCSI, Fibre Channel, NVMe over a network, cards, loop devices.
#
# It settles udev, where there is one, waits until an allowed disk is there and no other has come or gone for a while, and at its
# deadline ends with status 1. Then, and with the choice, the hardware is listed on standard error, with the reason against each disk.
#
# Environment:
#   NIXMETAL_DISKS           the allow list: rules separated by white space; one that fits is enough. A rule is KEY=PATTERN, or several
#                            joined by commas, all of which must fit. Keys: type, model, serial, wwid, name, path (in /sys/devices).
#                            Patterns are a shell's; ? stands for the space in a model. Example: "type=nvme model=Micron?5300*,type=sata"
#   NIXMETAL_DISKS_TIMEOUT   seconds to wait for an allowed disk (default 60)
#   NIXMETAL_DISKS_SETTLE    seconds without a change that make the choice final (default 2)
#   NIXMETAL_SYS, NIXMETAL_PROC, NIXMETAL_DEV   instead of /sys, /proc, /dev
#
# Status 0: at least one disk. 1: none until the deadline. 2: the allow list is empty or wrong.
# Needs cat, tr, tail, sleep; udevadm if there is one. (Names and paths of sysfs: Linux, Documentation/ABI.)
set -euf
export LC_ALL=C

rules=${NIXMETAL_DISKS:-}
timeout=${NIXMETAL_DISKS_TIMEOUT:-60}
settle=${NIXMETAL_DISKS_SETTLE:-2}
sys=${NIXMETAL_SYS:-/sys}
proc=${NIXMETAL_PROC:-/proc}
dev=${NIXMETAL_DEV:-/dev}

say() { echo "choose-disks: $*" >&2; }

check_rules() {
  case $rules in *[![:space:]]*) ;; *) say "the allow list (NIXMETAL_DISKS) is empty: no disk is chosen"; exit 2 ;; esac
  for rule in $rules; do
    # A rule of no condition would fit every disk; 'type=nvme , model=X' holds one.
    case ,$rule, in *,,*) say "'$rule' in the allow list has a comma with no condition beside it: write rules without spaces around commas"; exit 2 ;; esac
    for condition in $(printf '%s' "$rule" | tr , ' '); do
      case $condition in
        type=?* | model=?* | serial=?* | wwid=?* | name=?* | path=?*) ;;
        *) say "'$condition' in the allow list is not type=, model=, serial=, wwid=, name= or path= and a pattern"; exit 2 ;;
      esac
    done
  done
}

# attribute FILE...: the first that exists, without the spaces at its ends; nothing if there is none
attribute() {
  for file in "$@"; do
    if [ -r "$file" ]; then
      words=$(tr -cd ' -~' 2>/dev/null <"$file") || words=
      words=${words#"${words%%[! ]*}"}
      printf '%s' "${words%"${words##*[! ]}"}"
      return
    fi
  done
}

# type_of: of the disk whose $disk and $path are set. Nothing when its kind is not one that we know to be local.
type_of() {
  host=${path#*/host}
  case $path in
    */usb[0-9]* | */session[0-9]* | */rport-*) ;;
    */nvme/nvme[0-9]* | */nvme-subsystem/*) has_one_pcie_controller && echo nvme ;;
    */virtual/*) ;;
    */virtio[0-9]*/host[0-9]* | */virtio[0-9]*/block/*) echo virtio ;;
    */ata[0-9]*/host[0-9]*) echo sata ;;
    */end_device-*) echo sas ;;
    */host[0-9]*)
      case $(attribute "$sys/class/scsi_host/host${host%%/*}/proc_name") in
        megaraid_sas | mpi3mr | mpt3sas | mpt2sas | smartpqi | hpsa | aacraid) echo raid ;;
      esac
      ;;
  esac
}

# A drive with two ports stands below its subsystem, which then lists the controllers that lead to it.
has_one_pcie_controller() {
  set +f
  controllers=
  for controller in "$disk"/device/transport "$disk"/device/nvme[0-9]*/transport; do
    [ ! -r "$controller" ] || controllers="$controllers $(cat "$controller")"
  done
  set -f
  [ "$controllers" = " pcie" ]
}

serial_of() {
  words=$(attribute "$disk/serial" "$disk/device/serial")
  # SCSI's page 0x80 has four bytes before the serial number.
  if [ -z "$words" ] && [ -r "$disk/device/vpd_pg80" ]; then
    words=$(tail -c +5 "$disk/device/vpd_pg80" | tr -cd '!-~')
  fi
  printf '%s' "$words"
}

read_disk() {
  name=${1##*/}
  disk=$1
  path=$(cd -P "$disk" 2>/dev/null && pwd -P) || path=
  type=$(type_of)
  model=$(attribute "$disk/device/model")
  serial=$(serial_of)
  wwid=$(attribute "$disk/wwid" "$disk/device/wwid")
  sectors=$(attribute "$disk/size")
}

# fits CONDITION: of the disk that was read
fits() {
  pattern=${1#*=}
  case $1 in
    type=*) value=$type ;;
    model=*) value=$model ;;
    serial=*) value=$serial ;;
    wwid=*) value=$wwid ;;
    name=*) value=$name ;;
    path=*) value=$path ;;
  esac
  # shellcheck disable=SC2254 # a pattern, as the operator wrote it
  case $value in $pattern) ;; *) return 1 ;; esac
}

is_allowed() {
  for rule in $rules; do
    all=yes
    for condition in $(printf '%s' "$rule" | tr , ' '); do fits "$condition" || all=no; done
    [ "$all" = no ] || return 0
  done
  return 1
}

# is_mounted NAME NUMBER: btrfs and other file systems of several disks have a number of their own; their source is one of the disks, and
# btrfs lists all of them in sysfs. (What is not seen here, wipe-disks.sh finds held.)
is_mounted() {
  while read -r _ _ mounted rest; do
    source=${rest##* - }
    source=${source#* }
    [ "$mounted" != "$2" ] && [ "${source%% *}" != "$dev/$1" ] || return 0
  done <"$proc/self/mountinfo"
  set +f
  for member in "$sys"/fs/btrfs/*/devices/"$1"; do
    set -f
    [ ! -e "$member" ] || return 0
  done
  set -f
  return 1
}

# is_held: mounted, swapped to, or part of another device; itself or a partition of it
is_held() {
  set +f
  for part in "$disk" "$disk/$name"*; do
    set -f
    [ -e "$part/dev" ] || continue
    ! is_mounted "${part##*/}" "$(cat "$part/dev")" || return 0
    while read -r swap _; do
      [ "$swap" != "$dev/${part##*/}" ] || return 0
    done <"$proc/swaps"
    set +f
    for holder in "$part"/holders/*; do
      set -f
      [ ! -e "$holder" ] || return 0
    done
  done
  set -f
  return 1
}

# Prints why the disk that was read is not chosen; nothing for one that is.
reason_against() {
  if [ -z "$path" ]; then echo "is gone"
  elif [ -z "$type" ]; then echo "is not known to be local (USB, iSCSI, another network, multipath, a card or a device of software)"
  elif [ "$(attribute "$disk/removable")" != 0 ]; then echo "is removable"
  elif [ "$(attribute "$disk/hidden")" = 1 ]; then echo "is one way to a multipath disk"
  elif [ "$(attribute "$disk/ro")" != 0 ]; then echo "is read-only"
  elif [ "${sectors:-0}" = 0 ]; then echo "is empty"
  elif [ -n "$wwid" ] && is_twin; then echo "has the same world-wide id as another disk (multipath)"
  elif is_held; then echo "is in use"
  elif ! is_allowed; then echo "is not on the allow list"
  fi
}

is_twin() {
  set +f
  for other in "$sys"/block/*; do
    set -f
    [ "$other" = "$disk" ] || [ "$(attribute "$other/wwid" "$other/device/wwid")" != "$wwid" ] || return 0
  done
  set -f
  return 1
}

# look: $chosen (device paths) and $hardware (a line for each disk)
look() {
  chosen=
  hardware=
  set +f
  for block in "$sys"/block/*; do
    set -f
    case ${block##*/} in '*' | loop* | ram* | zram*) continue ;; esac
    read_disk "$block"
    against=$(reason_against)
    [ -n "$against" ] || chosen="$chosen$dev/$name
"
    hardware="$hardware$name: type=${type:-unknown} model='$model' serial='$serial' $((${sectors:-0} / 2048)) MiB: ${against:-chosen}
"
  done
  set -f
}

show_hardware() {
  [ -n "$hardware" ] || say "this machine has no disk at all"
  printf '%s' "$hardware" | while read -r line; do say "$line"; done
}

# Seconds since boot: the clock may be set meanwhile.
uptime_seconds() {
  read -r uptime _ </proc/uptime
  echo "${uptime%%.*}"
}

# wait_for_disks: until the choice is not empty and has been the same for $settle seconds
wait_for_disks() {
  deadline=$(($(uptime_seconds) + timeout))
  since=$(uptime_seconds)
  before=
  while look; do
    now=$(uptime_seconds)
    [ "$chosen" = "$before" ] || since=$now
    before=$chosen
    if [ -n "$chosen" ] && [ $((now - since)) -ge "$settle" ]; then return 0; fi
    [ "$now" -lt "$deadline" ] || return 1
    sleep 1
  done
}

check_rules
if command -v udevadm >/dev/null 2>&1; then
  udevadm settle --timeout="$timeout" || say "udev did not settle within $timeout seconds"
fi
if wait_for_disks; then
  show_hardware
  printf '%s' "$chosen"
else
  say "no disk of this machine may be erased by the allow list '$rules', after $timeout seconds:"
  show_hardware
  exit 1
fi
