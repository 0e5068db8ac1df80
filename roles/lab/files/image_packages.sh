# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# Downloads Debian packages and everything they depend on into DIRECTORY, which is new and holds nothing else in the end.
# They come from the sources of ROOT (the lab's Debian root), fetched as this machine fetches its own; apt's state
# for it is thrown away, and the machine's is not touched.
# usage: image_packages.sh DIRECTORY ROOT PACKAGE...
set -eu
directory=$1 root=$2
shift 2
work=$directory/.apt
mkdir -p "$work/lists/partial" "$work/cache" "$directory/partial"

apt() {
    apt-get --quiet --option Dir::State="$work" --option Dir::State::lists="$work/lists" --option Dir::State::status=/dev/null \
        --option Dir::Cache="$work/cache" --option Dir::Cache::archives="$directory" \
        --option Dir::Etc::sourcelist="$root/etc/apt/sources.list" --option Dir::Etc::sourceparts="$root/etc/apt/sources.list.d" \
        --option Dir::Etc::preferencesparts=/dev/null --option APT::Sandbox::User=root --option APT::Install-Recommends=false \
        --option Acquire::Languages=none --option APT::Update::Post-Invoke-Success::=true "$@"
}

apt update
apt --yes --download-only install "$@"
rm -rf "$work" "$directory/partial" "$directory/lock"
