# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The groups that the image's Debian packages are cut into, by regular expressions over package names. What is in no group and
# not omitted is in "10-libraries". A group is one segment: what changes together, or seldom, stands together.
{
  # Loaded in this order by stage 1, each after what it depends on: virtio by PCI, network, then what mounts the segments.
  kernelModules = [
    "virtio_ring"
    "virtio"
    "virtio_pci_legacy_dev"
    "virtio_pci_modern_dev"
    "virtio_pci"
    "failover"
    "net_failover"
    "virtio_net"
    "loop"
    "squashfs"
    "overlay"
    "qemu_fw_cfg"
    "virtio-rng"
  ];

  kernel = "linux-image-[0-9].*-cloud-amd64";

  # With what it needs: iPXE loads this one in any case, and stage 1 fetches the others with it.
  fetching = "05-curl";

  groups = {
    "05-curl" = [
      "curl" "libcurl4" "libc6" "zlib1g" "libnghttp2-14" "libidn2-0" "librtmp1" "libssh2-1.*" "libpsl5.*" "libssl3.*" "libgssapi-krb5-2"
      "libk5crypto3" "libkrb5-3" "libkrb5support0" "libcom-err2" "libkeyutils1" "libldap.*" "libsasl2-2" "libbrotli1" "libzstd1"
      "libunistring.*" "libgnutls30.*" "libhogweed6.*" "libnettle8.*" "libgmp10" "libp11-kit0" "libtasn1-6" "libffi8" "libnghttp3-.*"
      "libngtcp2-.*"
    ];
    "20-ssh" = [ "openssh-.*" ];
    "30-nix" = [ "nix-bin" "libboost-.*" "libsodium.*" "libcpuid.*" "libseccomp.*" "libgc1" ];
  };

  # Beside these, for an image that erases disks. Debian's cloud kernel has no USB, and a disk that is not seen proves nothing.
  disks = {
    kernel = "linux-image-[0-9][0-9.+-]*(deb[0-9]+-)?amd64";
    # xts is made of ecb and aes where the processor has none of its own.
    kernelModules = [ "virtio_blk" "nvme" "sd_mod" "xhci-pci" "usb-storage" "aes_generic" "ecb" "aesni-intel" "xts" "dm-crypt" ];
    groups."40-disks" = [
      "cryptsetup-bin" "dash" "dmsetup" "libcryptsetup.*" "libdevmapper.*" "libargon2.*" "libjson-c.*" "libpopt0" "util-linux" "util-linux-extra"
      "mount" "libblkid1" "libmount1.*" "libsmartcols1" "libuuid1"
    ];
  };

  # Build tools and their libraries.
  tools = [ "squashfs-tools" "cpio" "libc6" "zlib1g" "liblzma5" "liblzo2-2" "liblz4-1" "libzstd1" "libgcc-s1" ];

  # What only maintainer scripts, package managers and disks need; busybox stands in for the basic commands.
  omitted = [
    "linux-.*" "initramfs-tools.*" "klibc-utils" "libklibc" "kmod" "udev" "logsave" "libblkid1" "linux-base"
    "perl.*" "libperl.*" ".*-perl" "usrmerge" "libgdbm.*" "libdb5.*"
    "dpkg" "debconf" "tar" "coreutils" "bzip2" "xz-utils" "procps" "passwd" "adduser" "cpio" "squashfs-tools" "ucf"
    "ca-certificates" "openssl" "sensible-utils" "lsb-base" "init-system-helpers" "sysvinit-utils" "runit-helper"
    "readline-common" "gcc-.*-base" "libpam-.*" "libaudit-common" "libsemanage-common" "libtirpc-common" "libsepol.*"
    "libsemanage.*" "libproc2.*" "liblzo2-2" "libncursesw6"
  ];
}
