# SPDX-License-Identifier: BSD-3-Clause
"""Mail that is meant for the operator: a list's confirmation or other administrivia, and bounces.

Anybody can send such mail: what it says is not verified. Recognised at a glance, for the pipe.
"""

from ingest.mail import peek

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from ingest.mail.headers import Head

ADMINISTRIVIA, CONFIRMATION, BOUNCE = "administrivia", "confirmation", "bounce"

_LONGEST_SUBJECT = 200


def kind(head: bytes) -> str:
    """What kind of notice a mail is by its header, as ``peek.header`` gives it; "" if it is none.

    Mailman marks its own mails X-List-Administrivia. Subjects that ask to confirm something are
    Mailman's "confirm TOKEN" and those of mlmmj, Majordomo and ezmlm; as these write to the
    subscriber, their mails have no List-Id and reply to nothing.
    """
    if b"x-list-administrivia" in head and peek.field(head, b"x-list-administrivia") != b"no":
        return ADMINISTRIVIA
    if b"confirm" in head:
        subject = peek.field(head, b"subject")
        if subject.startswith(b"confirm "):
            return CONFIRMATION
        is_of_thread = any(
            peek.field(head, name) for name in (b"list-id", b"in-reply-to", b"references")
        )
        if b"confirm" in subject and not is_of_thread:
            return CONFIRMATION
    if b"multipart/report" in head and b"multipart/report" in peek.field(head, b"content-type"):
        return BOUNCE
    return ""


def reason(found: str, head: "Head") -> str:
    """What a notice of a kind says, for the operator, with what to do."""
    subject = next(iter(head.decoded("subject")), "")[:_LONGEST_SUBJECT]
    sender = head.first("reply-to") or head.first("from") or "nobody"
    if found == BOUNCE:
        return f"not verified: a bounce from {sender}: “{subject}”"
    if "confirm" in subject.lower():
        return (
            f"not verified: “{subject}”; to confirm, send a mail with this subject, and nothing "
            f"else, to {sender}"
        )
    return f"not verified: “{subject}” from {sender}"
