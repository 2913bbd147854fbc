# SPDX-License-Identifier: BSD-3-Clause
"""Writing a check: who may, and what makes one invalid.

Facts of Patchwork's ``api/check.py`` and of its ``Check`` model.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from ingest.sandbox.filters import Call, Refused, Reply

STATES = ("pending", "success", "warning", "fail")
# What Patchwork's database keeps, which also is what its list of checks is filtered by.
STATE_NUMBERS = {str(number): state for number, state in enumerate(STATES)}

_SLUG = re.compile(r"[-a-zA-Z0-9_]+")
_LABEL = r"[^\W_](?:(?:[^\W_]|-)*[^\W_])?"
_ADDRESS = re.compile(
    rf"(?:https?|ftps?)://(?:\S+@)?(?:localhost|(?:{_LABEL}\.)+{_LABEL}|\[[0-9a-f:.]+\])"
    r"(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_LONGEST_ADDRESS = 200
_LONGEST_CONTEXT = 255


def new_check(call: Call) -> Reply:
    """Write a check on a patch, for an account that maintains the patch's project."""
    patch = call.one(call.store.patches, "Patch")
    if call.user is None or patch.project.link_name not in call.user.maintains:
        raise Refused(403, {"detail": "You do not have permission to perform this action."})
    given = _given(call)
    if given.get("state", "") == "":
        raise Refused(400, {"state": ["A check must have a state."]})
    state = _text(given["state"])
    address = _text(given.get("target_url"))
    context = _text(given.get("context", "default"))
    errors = {
        "state": _state_error(state),
        "target_url": _address_error(address),
        "context": _context_error(context),
        "description": "" if _is_text(given.get("description")) else "Not a valid string.",
    }
    if any(errors.values()):
        raise Refused(400, {field: [error] for field, error in errors.items() if error})
    assert state is not None and context is not None
    description = _text(given.get("description"))
    check = call.store.add_check(
        patch, call.user, STATE_NUMBERS.get(state, state), address, context, description
    )
    written = call.shapes.check(check)
    return 201, written, {"Location": written["url"]}


def _given(call: Call) -> dict[str, Any]:
    kind = call.content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    if kind != "application/json":
        detail = f'Unsupported media type "{call.content_type}" in request.'
        raise Refused(415, {"detail": detail})
    try:
        given = json.loads(call.body)
    except ValueError as error:
        raise Refused(400, {"detail": f"JSON parse error - {error}"}) from None
    return given if isinstance(given, dict) else {}


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).strip() if _is_text(value) else f"<{value}>"  # neither label nor address


def _is_text(value: object) -> bool:
    return not isinstance(value, bool | list | dict)


def _state_error(state: str | None) -> str:
    if state is None:
        return "This field may not be null."
    known = state in STATES or state in STATE_NUMBERS
    return "" if known else f'"{state}" is not a valid choice.'


def _address_error(address: str | None) -> str:
    if not address:
        return ""
    if len(address) > _LONGEST_ADDRESS:
        return f"Ensure this field has no more than {_LONGEST_ADDRESS} characters."
    return "" if _ADDRESS.fullmatch(address) else "Enter a valid URL."


def _context_error(context: str | None) -> str:
    if context is None:
        return "This field may not be null."
    if not context:
        return "This field may not be blank."
    if len(context) > _LONGEST_CONTEXT:
        return f"Ensure this field has no more than {_LONGEST_CONTEXT} characters."
    if not _SLUG.fullmatch(context):
        return 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'
    return ""
