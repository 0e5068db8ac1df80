# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that both sides of a stream share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of artifact_stream_send and artifact_stream_receive."""

    DOCUMENTATION = r"""
options:
  layout:
    description: What kind of directory travels.
    type: str
    choices: [image, directory]
    default: image
  manifest:
    description: The manifest's text, as the step V(prepare) on the source returned it.
    type: str
  transfer:
    description: Name of this transfer, equal on both sides and in each of its steps.
    type: str
  token:
    description: What later steps show to the process that an earlier one started.
    type: str
  certificate:
    description: This side's certificate, as PEM text.
    type: str
  private_key:
    description: The key of O(certificate), as PEM text. It is never written to a disk where the system has files in memory.
    type: str
  peer_certificate:
    description: The only certificate that the other side may show, as PEM text.
    type: str
  peers:
    description: Addresses of the other side. Who connects tries them, who listens tells which of its own addresses face them.
    type: list
    elements: str
    default: []
  port:
    description: Port of the other side when this one connects.
    type: int
  tls_client:
    description: Whether the listening side begins the TLS handshake, as one has to when both sides listen.
    type: bool
    default: false
  address:
    description: Address to listen on, where it is this host's own; otherwise all addresses are listened on.
    type: str
  ports:
    description: Ports to listen on, as one number or a range C(FIRST-LAST); V(0) is any free port.
    type: str
    default: "0"
  connections:
    description: How many connections who connects makes, at most 16; V(0) is one, or four to a host that is far away.
    type: int
    default: 0
  connect_timeout:
    description: Seconds until both sides must have found each other.
    type: float
    default: 30.0
  silence_timeout:
    description: Seconds without a byte from the other side after which it counts as gone.
    type: float
    default: 60.0
  timeout:
    description: Seconds after which the process ends in any case.
    type: float
    default: 7200.0
  seconds:
    description: How many seconds the steps V(wait) and V(stop) wait for the end.
    type: float
    default: 0.0
"""
