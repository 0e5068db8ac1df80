# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service, as the machines use it."""

from __future__ import annotations

import json

import pytest

CONTROL = {"X-Lab-Token": "lab-control"}


def test_the_document_has_what_the_builders_read(lab):
    device = lab.active_device(instance_parameters={"userdata": "#cloud", "customdata": {"a": 1}})
    told = lab.http.get("/metadata", headers=CONTROL | {"X-Lab-Device": device["id"]}).json()
    assert told["id"] == device["id"]
    assert told["phone_home_url"] == "http://metadata.test/phone-home"
    assert told["network"]["addresses"][0]["address"] == device["ip_addresses"][0]["address"]
    assert (
        told["network"]["addresses"][0] | {"address_family": 4, "cidr": 24, "gateway": "10.213.77.1"}
        == (told["network"]["addresses"][0])
    )
    assert told["network"]["interfaces"][0]["mac"] == device["network_ports"][1]["data"]["mac"]
    assert (told["plan"], told["metro"], told["facility"], told["customdata"]) == (
        "c3.medium.x86",
        "am",
        "am6",
        {"a": 1},
    )
    assert lab.http.get("/userdata", headers=CONTROL | {"X-Lab-Device": device["id"]}).text == "#cloud"


def test_a_stranger_gets_404_and_cannot_claim_to_be_a_machine(lab):
    device = lab.active_device()
    assert lab.http.get("/metadata").status_code == 404
    assert lab.http.get("/metadata", headers={"X-Lab-Device": device["id"]}).status_code == 404
    assert lab.http.post("/events", json={"code": 1001}, headers={"X-Lab-Device": device["id"]}).status_code == 404


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
def test_events_are_json_whatever_the_content_type(lab, content_type):
    device = lab.active_device()
    message = json.dumps([{"system": "x86_64-linux", "port": 22, "key": "ssh-ed25519 AAAA"}])
    body = json.dumps({"state": "succeeded", "code": 1001, "message": message})
    headers = CONTROL | {"X-Lab-Device": device["id"], "Content-Type": content_type}
    assert lab.http.post("/events", content=body, headers=headers).status_code == 201
    newest = lab.http.get(f"/devices/{device['id']}/events?per_page=1").json()["events"][0]
    assert (newest["type"], newest["body"], newest["ip"]) == ("user.1001", message, "10.213.77.101")


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"code": true}', '{"code": ""}', "junk"])
def test_events_without_a_code_are_refused(lab, body):
    device = lab.active_device()
    before = lab.event_types(device["id"])
    answer = lab.http.post("/events", content=body, headers=CONTROL | {"X-Lab-Device": device["id"]})
    assert answer.status_code == 422
    assert lab.event_types(device["id"]) == before


def test_events_stand_newest_first_with_the_boot_before_its_announcements(lab):
    device = lab.active_device()
    assert lab.event_types(device["id"]) == [
        "provisioning.110",
        "user.1002",
        "user.1001",
        "provisioning.104.01",
        "provisioning.103",
        "provisioning.102",
        "provisioning.101",
    ]
    project = lab.http.get(f"/projects/{lab.cloud.settings.project_id}/events?per_page=3").json()
    assert [event["type"] for event in project["events"]] == ["provisioning.110", "user.1002", "user.1001"]
    assert project["meta"]["total"] == 7


def test_simulated_machines_describe_themselves(lab):
    device = lab.active_device()
    events = lab.http.get(f"/devices/{device['id']}/events").json()["events"]
    bodies = {event["type"]: event["body"] for event in events}
    (key,) = json.loads(bodies["user.1001"])
    assert (key["system"], key["port"]) == ("x86_64-linux", 22)
    assert key["key"].startswith("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
    described = json.loads(bodies["user.1002"])
    assert {"features", "system_types", "max_jobs", "image_id", "boot_id"} <= set(described)


def test_a_machine_may_be_told_to_say_nothing(make_lab):
    lab = make_lab(simulated={"self_description": False})
    device = lab.active_device()
    assert not [kind for kind in lab.event_types(device["id"]) if kind.startswith("user.")]
