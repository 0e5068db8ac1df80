# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module or the inventory plugin reaches the Equinix Metal API: the options are declared here once."""

from __future__ import annotations


class ModuleDocFragment:
    """Options, requirements and notes shared by everything that speaks with the API."""

    DOCUMENTATION = r"""
requirements:
  - python >= 3.9
  - equinix-metal >= 0.11
options:
  metal_api_url:
    description:
      - The URL at which the Equinix Metal API answers, for example C(https://metal.example.org/metal/v1).
      - There is no default. Equinix closed its own service on 2026-06-30, so every use names its endpoint.
      - If not set, the environment variable E(METAL_API_URL) is used.
    type: str
  metal_auth_token:
    description:
      - The API token.
      - If not set, the environment variables E(METAL_AUTH_TOKEN), E(PACKET_AUTH_TOKEN) and E(PACKET_API_TOKEN) are tried.
    type: str
    aliases: [api_token]
  metal_auth_token_file:
    description:
      - The path of a file that holds the API token and nothing else. A token that is set beside it must be the same.
      - With C(ANSIBLE_DEBUG) set, Ansible prints the options of each task, O(metal_auth_token) too. A token from a file or from the
        environment is none of them.
      - If not set, the environment variable E(METAL_AUTH_TOKEN_FILE) is used.
    type: path
  project_id:
    description:
      - The id (UUID) of the project.
      - If not set, the first of the environment variables E(METAL_PROJECT_ID) and E(PACKET_PROJECT_ID) is used.
    type: str
  metal_api_timeout:
    description:
      - How many seconds one call of the API may take to connect, and then to answer.
      - If not set, the environment variable E(METAL_API_TIMEOUT) is used.
    type: float
    default: 30
  metal_api_tries:
    description:
      - How many times a call that is safe to repeat is sent before the module gives up.
      - Calls that create something are never sent again blindly.
      - If not set, the environment variable E(METAL_API_TRIES) is used.
    type: int
    default: 5
  metal_ca_file:
    description:
      - The path of a file with the certificates of the authorities that the endpoint's certificate is checked against.
      - If not set, the environment variables E(SSL_CERT_FILE) and E(REQUESTS_CA_BUNDLE) are tried.
      - Without any, the authorities of the operating system are trusted.
    type: path
notes:
  - The proxy named by the environment variables E(HTTPS_PROXY), E(HTTP_PROXY) and E(NO_PROXY) is used.
  - Redirects are refused, because they would carry the token to another host.
"""

    # For the inventory plugin, whose options Ansible itself looks up in the environment.
    INVENTORY = r"""
requirements:
  - equinix-metal >= 0.11
options:
  metal_api_url:
    description:
      - The URL at which the Equinix Metal API answers, for example C(https://metal.example.org/metal/v1).
      - There is no default. Equinix closed its own service on 2026-06-30, so every use names its endpoint.
    type: str
    env:
      - name: METAL_API_URL
  metal_auth_token:
    description:
      - The API token.
    type: str
    aliases: [api_token]
    env:
      - name: METAL_AUTH_TOKEN
      - name: PACKET_AUTH_TOKEN
      - name: PACKET_API_TOKEN
  metal_auth_token_file:
    description:
      - The path of a file that holds the API token and nothing else. A token that is set beside it must be the same.
    type: path
    env:
      - name: METAL_AUTH_TOKEN_FILE
  project_id:
    description:
      - The id (UUID) of the project.
    type: str
    env:
      - name: METAL_PROJECT_ID
      - name: PACKET_PROJECT_ID
  metal_api_timeout:
    description:
      - How many seconds one call of the API may take to connect, and then to answer.
    type: float
    default: 30
    env:
      - name: METAL_API_TIMEOUT
  metal_api_tries:
    description:
      - How many times a call is sent before the plugin gives up.
    type: int
    default: 5
    env:
      - name: METAL_API_TRIES
  metal_ca_file:
    description:
      - The path of a file with the certificates of the authorities that the endpoint's certificate is checked against.
      - If not set, the environment variables E(SSL_CERT_FILE) and E(REQUESTS_CA_BUNDLE) are tried.
      - Without any, the authorities of the operating system are trusted.
    type: path
notes:
  - The proxy named by the environment variables E(HTTPS_PROXY), E(HTTP_PROXY) and E(NO_PROXY) is used.
  - Redirects are refused, because they would carry the token to another host.
"""

    # For info modules.
    QUERY = r"""
options:
  query:
    description:
      - A JMESPath expression, which is applied to the list that this module returns. What it yields is returned as RV(ignore:query_result)
        beside the list.
      - It needs the Python library C(jmespath) where the module runs.
    type: str
"""
