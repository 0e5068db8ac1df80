#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_lock
short_description: Take, keep, give back or break the lock of a fleet
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Holds C(PATH/FLEET.lock) on the host on which it runs, the coordinator. Whatever buys, reboots or ends machines of a
    fleet takes it first, so that two runs never do so at once.
  - A lock stays when its holder dies. Neither its age nor a restart of the host frees it; it is broken by its id, or resumed
    by a run of the same owner and purpose that is told to.
  - What was broken or resumed is written to C(PATH/FLEET.journal), a line of JSON each.
attributes:
  check_mode:
    support: full
    details:
      - With O(state=acquired) nothing is taken and a lock that somebody else holds is no failure; see RV(available).
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - A lock that is held cannot be acquired a second time, also not by its owner.
options:
  state:
    description:
      - V(acquired) takes the lock, or fails and tells who holds it.
      - V(held) fails unless the lock is still O(lock_id). For use before a step that cannot be taken back.
      - V(released) gives O(lock_id) back. Of a lock that is another one's meanwhile it only warns.
      - V(broken) takes O(lock_id) from whoever holds it, and no other.
    type: str
    choices: [acquired, held, released, broken]
    default: acquired
  path:
    description: Directory of the locks. It is made when it is missing.
    type: path
    default: /var/lib/nixmetal/locks
  fleet:
    description: Name of the fleet.
    type: str
    required: true
  owner:
    description: Who takes the lock, or who breaks it, in words that tell one controller from another, such as C(alice@control).
    type: str
  purpose:
    description: What the lock is taken for, such as C(launch).
    type: str
  lock_id:
    description: Id of the lock, as V(acquired) returned it or a refusal told it.
    type: str
  reason:
    description: Why the lock is broken.
    type: str
  wait_seconds:
    description: How long O(state=acquired) waits for another holder to end.
    type: float
    default: 0
  resume:
    description:
      - With O(state=acquired), take over a lock of the same O(owner) and O(purpose). Its former holder, should it still live,
        finds its lock gone at its next V(held).
    type: bool
    default: false
extends_documentation_fragment:
  - nixmetal.builders.attributes
seealso:
  - module: nixmetal.builders.metal_spot_market_request
"""

EXAMPLES = r"""
- name: Take the lock
  nixmetal.builders.fleet_lock:
    fleet: ci
    owner: alice@control
    purpose: launch
    wait_seconds: 600
  register: fleet_lock_taken

- name: Make sure that it was not broken meanwhile
  nixmetal.builders.fleet_lock:
    state: held
    fleet: ci
    lock_id: "{{ fleet_lock_taken.lock_id }}"

- name: Give it back
  nixmetal.builders.fleet_lock:
    state: released
    fleet: ci
    lock_id: "{{ fleet_lock_taken.lock_id }}"

- name: Break the lock of a controller that died
  nixmetal.builders.fleet_lock:
    state: broken
    fleet: ci
    lock_id: 5f0c9a3e
    owner: bob@laptop
    reason: control was reinstalled
"""

RETURN = r"""
lock_id:
  description: Id of the lock that is held, or that was released or broken. V(null) when nobody holds one.
  returned: success
  type: str
  sample: 5f0c9a3e
owner:
  description: Its owner; V(null) when it is not known.
  returned: success
  type: str
  sample: alice@control
purpose:
  description: What it was taken for; V(null) when it is not known.
  returned: success
  type: str
  sample: launch
since:
  description: When it was taken.
  returned: success
  type: str
  sample: '2026-03-01T12:00:00Z'
age_seconds:
  description: How long it is held, or was; V(null) when it is not known.
  returned: success
  type: int
  sample: 42
available:
  description: Whether the lock is, or in check mode would be, the run's own.
  returned: when O(state=acquired)
  type: bool
  sample: true
resumed_from:
  description: Id of the lock that was taken over; V(null) when there was none.
  returned: when O(state=acquired)
  type: str
  sample: null
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.claim import read_claim
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.lock import (
    LockPlace,
    Wish,
    acquire,
    age_seconds,
    break_lock,
    breakable,
    confirm,
    describe,
    lock_place,
    release,
    would_acquire,
)

ARGUMENTS = {
    "state": {"type": "str", "choices": ["acquired", "held", "released", "broken"], "default": "acquired"},
    "path": {"type": "path", "default": "/var/lib/nixmetal/locks"},
    "fleet": {"type": "str", "required": True},
    "owner": {"type": "str"},
    "purpose": {"type": "str"},
    "lock_id": {"type": "str"},
    "reason": {"type": "str"},
    "wait_seconds": {"type": "float", "default": 0},
    "resume": {"type": "bool", "default": False},
}
REQUIRED_IF = [
    ("state", "acquired", ("owner", "purpose")),
    ("state", "held", ("lock_id",)),
    ("state", "released", ("lock_id",)),
    ("state", "broken", ("lock_id", "owner", "reason")),
]

Answer = dict[str, Any]


def acquired(module: AnsibleModule, place: LockPlace) -> Answer:
    wish = Wish(module.params["owner"], module.params["purpose"], module.params["resume"])
    if module.check_mode:
        holder, available = would_acquire(place, wish)
        return {**told(holder), "changed": available, "available": available, "resumed_from": None}
    tried = acquire(place, wish, module.params["wait_seconds"])
    return {**told(tried.claim), "changed": True, "available": True, "resumed_from": tried.resumed_from}


def held(module: AnsibleModule, place: LockPlace) -> Answer:
    return {**told(confirm(place, module.params["lock_id"])), "changed": False}


def released(module: AnsibleModule, place: LockPlace) -> Answer:
    lock_id = module.params["lock_id"]
    before = read_claim(place.path)
    if module.check_mode:
        return {**told(before), "changed": before is not None and before["lock_id"] == lock_id}
    changed, other = release(place, lock_id)
    if not changed:
        now = describe(other) if other else "nobody holds it now"
        module.warn(
            f"The lock {lock_id} on the fleet {place.fleet} was broken or taken over before it was given back: {now}."
        )
    return {**told(before if changed else other), "changed": changed}


def broken(module: AnsibleModule, place: LockPlace) -> Answer:
    lock_id = module.params["lock_id"]
    if module.check_mode:
        claim = breakable(place, lock_id)
    else:
        claim = break_lock(place, lock_id, module.params["owner"], module.params["reason"])
    return {**told(claim), "changed": claim is not None}


def told(claim: dict[str, Any] | None) -> Answer:
    """The claim as the module returns it."""
    known = claim or {}
    fields = {name: known.get(name) for name in ("lock_id", "owner", "purpose", "since")}
    return {**fields, "age_seconds": age_seconds(known) if known else None}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    path, fleet = module.params["path"], module.params["fleet"]
    states = {"acquired": acquired, "held": held, "released": released, "broken": broken}
    try:
        answer = states[module.params["state"]](module, lock_place(path, fleet))
    except FleetError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"the lock of the fleet {fleet} in {path}: {error.strerror or error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
