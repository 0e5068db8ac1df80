#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# start.sh DIRECTORY PACKAGES ADDRESS PORT NETWORK: starts a machine as root and waits until its sshd listens.
#
# A machine is this one once more: its root is an overlay over /, in namespaces of mounts, processes and names. What it writes lies in
# DIRECTORY/upper and goes with it; nothing of this machine is changed. PACKAGES is where sshd was unpacked. NETWORK is `own` for a network
# namespace of its own, `-` for this machine's network, or the directory of the machine whose network it shares.
set -eu

directory=$1 packages=$2 address=$3 port=$4 network=$5
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$directory/upper/etc/ssh" "$directory/work" "$directory/root"
# /lib and the like are links on this machine, and a folder of that name above them would hide what they lead to.
cp -a "$packages/usr" "$directory/upper/"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$directory/upper/etc/ssh/machine_ed25519"
cp "$directory/upper/etc/ssh/machine_ed25519.pub" "$directory/host_key"

case $network in
  own) set -- unshare --net ;;
  -) set -- env ;;
  *) set -- nsenter "--net=/proc/$(cat "$network/inside")/ns/net" ;;
esac
setsid nohup "$@" unshare --mount --pid --uts --ipc --fork --kill-child=KILL \
  sh "$here/boot.sh" "$directory" "$address" "$port" "$network" >"$directory/log" 2>&1 </dev/null &
echo $! >"$directory/pid"

tries=0
until grep -q 'Server listening' "$directory/log"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ] || ! kill -0 "$(cat "$directory/pid")"; then
    cat "$directory/log" >&2
    # Nobody else would end it: end.sh knows a machine by its first process. --kill-child takes all that it has with it.
    kill -KILL "$(cat "$directory/pid")" 2>/dev/null || :
    exit 1
  fi
  sleep 0.2
done
# The first process of the machine, by the name that it has here.
ps -o pid= --ppid "$(cat "$directory/pid")" | tr -d ' ' >"$directory/inside"
