#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The forced command of the build keys: what Nix itself asks for, by its newer protocol (ssh-ng://) and its older one (ssh://), and
# nothing else. Needs nix-daemon and nix-store on PATH.
set -eu
case ${SSH_ORIGINAL_COMMAND:-} in
  'nix-daemon --stdio') exec nix-daemon --stdio ;;
  'nix-store --serve --write') exec nix-store --serve --write ;;
  *)
    echo "This key builds for Nix and does nothing else: use ssh-ng:// or ssh://, or log in with an administrator's key." >&2
    exit 1
    ;;
esac
