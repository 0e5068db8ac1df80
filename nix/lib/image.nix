# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The image directory (docs/contracts/image-manifest.schema.json): kernel, initrds, manifest.json and a netboot.ipxe with
# relative names, so that the directory also boots when it is simply copied to a web root.
{ system, tools }:
{
  name,
  # The file to boot.
  kernel,
  # Initrds in boot order: { name, pieces }, each piece one archive of segments.nix, which may itself be made of pieces.
  initrds,
  # Files that stage 1 fetches by itself (fetch-segments.sh), in mount order: { name, file }. The first initrd lists them.
  segments ? [ ],
  # Without nixmetal.image, which is this output's own name and is added when the script is written.
  kernelParams ? [ ],
  # Names of the plans of machines that the image is for; null: it does not say.
  plans ? null,
}:
let
  step = import ./step.nix { inherit system tools; };
  # FILE, or FILE:SIZES with the sizes of its pieces. No store path has a colon.
  withSizes = file: toString file + (if builtins.isAttrs file && file ? pieces then ":${file.pieces}" else "");
  initrdLine = initrd: builtins.concatStringsSep " " ([ initrd.name ] ++ map withSizes initrd.pieces);
in
step {
  inherit name kernel kernelParams;
  script = ./image.sh;
  imageSystem = system;
  kernelParamsJson = builtins.toJSON kernelParams;
  plansJson = if plans == null then "" else builtins.toJSON plans;
  # One line per segment, its name and its file; per initrd, its name and its pieces.
  segments = builtins.concatStringsSep "\n" (map (segment: "${segment.name} ${withSizes segment.file}") segments);
  initrds = builtins.concatStringsSep "\n" (map initrdLine initrds);
  manifestWriter = ./manifest.sh;
  scriptWriter = ./netboot-script.sh;
}
