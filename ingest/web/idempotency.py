# SPDX-License-Identifier: BSD-3-Clause
"""Calls that may be made again: under the same Idempotency-Key they are answered as before, and
nothing is done twice.
"""

import json
from dataclasses import replace

from ingest.config.values import DAY
from ingest.web.operations import Answer, Call, Operation, answer_of, encoded
from ingest.web.problems import Problem

# How long the answer to a key is known.
REMEMBERED = 7 * DAY
# One call with a key is answered at a time, on all machines: the same key may come again before
# its first call has ended. Others wait so many seconds.
_LEASE, _PATIENCE = "idempotent", 5.0


def answered(operation: Operation, call: Call, digest: str) -> Answer:
    """The answer to a call, or the one that its key had before. ``digest``: of the call's body.
    Raises ``Problem`` if the key was another call's."""
    known = _known(operation, call, digest) if call.key else None
    if known:
        return known
    if operation.prepare:
        call = replace(call, prepared=operation.prepare(call))
    if not call.key:
        return answer_of(operation, call)
    with call.ledger.lease(_LEASE, _PATIENCE) as held:
        if not held:
            raise Problem(503, "Another call is being answered; try again.", {"Retry-After": "2"})
        return _once(operation, call, digest)


def _known(operation: Operation, call: Call, digest: str) -> Answer | None:
    """What was answered to the call's key before, if anything was."""
    before = call.ledger.recall(_name(call), call.reader.now)
    if before is None:
        return None
    kept = json.loads(before)
    if kept["asked"] != _asked(operation, call, digest):
        raise Problem(409, "This Idempotency-Key was used for something else.")
    return Answer(kept["value"], kept["status"], kept["fields"])


def _name(call: Call) -> str:
    return f"idempotent {call.key}"


def _asked(operation: Operation, call: Call, digest: str) -> str:
    return f"{operation.name} {json.dumps(dict(call.path), sort_keys=True)} {digest}"


def _once(operation: Operation, call: Call, digest: str) -> Answer:
    if (before := _known(operation, call, digest)) is not None:
        return before

    def do() -> Answer:
        answer = answer_of(operation, call)
        text = {
            "asked": _asked(operation, call, digest),
            "value": json.loads(encoded(answer.value)),
            "status": answer.status,
            "fields": dict(answer.fields),
        }
        call.ledger.remember(_name(call), json.dumps(text), call.reader.now + REMEMBERED)
        return answer

    if not operation.atomic:  # it is the same when it is done again
        return do()
    with call.ledger.batch():
        return do()
