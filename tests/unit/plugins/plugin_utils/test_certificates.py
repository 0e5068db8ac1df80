# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for one transfer."""

from __future__ import annotations

import datetime

import pytest
from ansible.errors import AnsibleActionFail
from cryptography import x509

from ansible_collections.nixmetal.builders.plugins.plugin_utils import certificates
from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import make_key_pair


def test_a_certificate_is_valid_on_hosts_whose_clocks_differ_by_hours():
    found = x509.load_pem_x509_certificate(make_key_pair("sender", hours=2).certificate.encode())
    now = datetime.datetime.now(datetime.UTC)
    assert found.not_valid_before_utc <= now - datetime.timedelta(hours=23)
    assert now + datetime.timedelta(hours=25) <= found.not_valid_after_utc <= now + datetime.timedelta(hours=27)


def test_no_two_are_alike():
    first, second = make_key_pair("sender", 1), make_key_pair("sender", 1)
    assert first.private_key != second.private_key
    assert first.certificate != second.certificate
    assert "PRIVATE KEY" not in first.certificate


def test_a_controller_without_the_library_is_told_which(monkeypatch):
    monkeypatch.setattr(certificates, "CRYPTOGRAPHY_MISSING", ImportError("No module named 'cryptography'"))
    with pytest.raises(AnsibleActionFail, match="needs cryptography in the controller's Python"):
        make_key_pair("sender", 1)
