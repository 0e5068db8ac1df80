#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sets the IPv6 addresses that the metadata (the file that is the argument) name, and their gateway, on the interface that has the
# default route of IPv4. What the network said is data: it is checked, and no shell evaluates it.
#
# Needs jq, ip, cat. Status 1: an address is none, or there is no default route.
set -euf

say() { echo "ipv6-addresses: $*"; }
fail() { say "$*" >&2; exit 1; }

# interface: that of the default route
interface() {
  # shellcheck disable=SC2046 # words, split on purpose
  set -- $(ip -4 route show default)
  while [ $# -gt 1 ]; do
    if [ "$1" = dev ]; then
      printf '%s' "$2"
      return
    fi
    shift
  done
}

# is_address WORD
is_address() {
  case $1 in '' | *[!0-9a-fA-F:]*) return 1 ;; *:*:*) return 0 ;; *) return 1 ;; esac
}

# add ADDRESS LENGTH GATEWAY
add() {
  is_address "$1" || fail "the metadata have '$1' as an IPv6 address"
  is_address "$3" || fail "the metadata have '$3' as the gateway of $1"
  case $2 in '' | *[!0-9]*) fail "the metadata have '$2' as the length of $1's network" ;; esac
  ip -6 address replace "$1/$2" dev "$device"
  # The gateway need not be in the address's network: a /127 and a link-local one both occur.
  ip -6 route replace "$3" dev "$device" proto static
  ip -6 route replace default via "$3" dev "$device" proto static
  say "$1/$2 on $device, by $3"
}

lines=$(jq -r '.network.addresses[]? | select(.address_family == 6 and .public != false) |
  [.address, .cidr, .gateway] | map(tostring | gsub("[^0-9A-Za-z:.]"; "?")) | join(" ")' "$1")
[ -n "$lines" ] || { say "the metadata name none"; exit 0; }
device=$(interface)
[ -n "$device" ] || fail "there is no default route, so no interface to set addresses on"
while read -r address length gateway; do
  add "$address" "$length" "$gateway"
done <<EOT
$lines
EOT
