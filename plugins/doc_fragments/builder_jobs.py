# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name builders and the source that knows how many builds run on them."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the modules that ask for jobs; the builders and SSH also by those that ask for other facts."""

    DOCUMENTATION = r"""
options:
  source:
    description:
      - Who is asked.
      - V(prometheus) has a series for each machine, which Hydra's queue runner (or a re-exporter of the legacy one's status) feeds.
      - V(hydra) is the status of the legacy queue runner or of the new one; which of them, its content tells.
      - V(ssh) is each builder itself. It counts running builds and open connections of Nix, whoever sent them.
    type: str
    choices: [prometheus, hydra, ssh]
    required: true
  url:
    description:
      - With O(source=prometheus), the address of Prometheus, to which C(/api/v1/query) is added.
      - With O(source=hydra), the address of the status, such as C(https://hydra.example.org/queue-runner-status) or
        C(http://localhost:8080/status).
    type: str
  max_age_seconds:
    description:
      - How old a sample of Prometheus, or a status of the legacy Hydra, may be. It must be more than the interval at which Prometheus
        scrapes.
    type: float
    default: 120
  hydra:
    description:
      - Which queue runner feeds Prometheus. V(legacy) is C(hydra_machine_current_jobs) with the label C(host), V(new) is
        C(hydraqueuerunner_machine_current_jobs) with the label C(hostname).
    type: str
    choices: [legacy, new]
    default: legacy
  prometheus_metric:
    description:
      - Name of the metric, where it is another than O(hydra) names.
    type: str
  prometheus_label:
    description:
      - Name of the label that holds the machine's name, where it is another than O(hydra) names.
    type: str
  prometheus_selector:
    description:
      - Further matchers, such as C(job="hydra"), for a Prometheus that has the same series from several sources.
    type: str
    default: ""
"""

    BUILDERS = r"""
options:
  builders:
    description:
      - The builders to ask for.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description:
          - The builder's id, under which the answer names it.
        type: str
        required: true
      label:
        description:
          - What Hydra and Prometheus call it. The legacy queue runner calls it as column 1 of the machines file does, the new one by
            its hostname.
        type: str
      address:
        description:
          - Where SSH finds it.
        type: str
      port:
        description:
          - Its SSH port.
        type: int
        default: 22
      user:
        description:
          - Whom to log in as, unless O(ssh_user) says it for all.
        type: str
      host_key:
        description:
          - The public SSH host key that it has published since its last boot. No other is believed.
        type: str
      problem:
        description:
          - Why it cannot be asked, where that is known already.
        type: str
"""

    SSH = r"""
options:
  ssh_key:
    description:
      - Path of the private key to log in with. A key of the image's C(factsKeys) suffices, which may read these facts and nothing else.
    type: path
  ssh_user:
    description:
      - Whom to log in as on all builders.
    type: str
  ssh_script:
    description:
      - The text of C(nix/lib/facts.sh), which a login that may run anything is handed on standard input. A key of C(factsKeys) runs its
        own.
    type: str
    default: ""
  ssh_config:
    description:
      - Path of an SSH configuration file; V(none) reads none.
    type: str
    default: none
  ssh_options:
    description:
      - Further SSH options, each as C(NAME=VALUE). They cannot turn off the check of host keys.
    type: list
    elements: str
    default: []
  ssh_timeout:
    description:
      - How many seconds a builder may take to answer.
    type: float
    default: 20
  ssh_parallel:
    description:
      - How many builders are asked at once.
    type: int
    default: 16
  ssh_executable:
    description:
      - Name or path of the SSH client.
    type: str
    default: ssh
"""
