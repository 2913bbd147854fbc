# SPDX-License-Identifier: BSD-3-Clause
"""What each page about mails shows: as ``views``, which has those about requests."""

from ingest import look
from ingest.ledger import Filter
from ingest.story import attention as attention_story
from ingest.story import health
from ingest.web import lookups
from ingest.web.trial_line import MOST, tried
from ingest.web.views import PER_PAGE, Elsewhere, Look, Page

_NEVER_CAME = (
    "It has not come here, or there is no Recheck-request in it: mails that cannot hold a request "
    "are not kept. If you have just sent it, it may still be on its way through the list."
)


def mail(at: Look) -> Page:
    """The mails of a Message-ID, or the one of a number, each with its story."""
    name = at.path["name"]
    if not name:
        raise Elsewhere("/mails")
    found = lookups.mail(at.reader, name)
    if not found:
        return Page("no_mail.html", {"name": name, "why": _NEVER_CAME}, status=404)
    return Page("mail.html", {"stories": found})


def mails(at: Look) -> Page:
    """All mails, the newest first."""
    found = lookups.mails(at.reader, Filter(), at.page, PER_PAGE)
    return Page("mails.html", {"found": found}, place="mails")


def attention(at: Look) -> Page:
    """What a person must act on."""
    reader = at.reader
    wanted = lookups.needing_attention(reader)
    found = lookups.mails(reader, wanted, at.page, PER_PAGE)
    status = look.status(reader.ledger, reader.settings, reader.now)
    values = {
        "found": found,
        "held_up": {each.id: [*attention_story.held_up(each)] for each in found.items},
        "signs": [each for each in health.signs(status) if not each.well],
        "hindered": attention_story.parts(status) if reader.sees_all else (),
    }
    return Page("attention.html", values, place="attention")


def trial(at: Look) -> Page:
    """A form for a mail, and what would be read of the one that was posted."""
    pasted = at.form.get("mail", "").replace("\r\n", "\n")
    is_long = len(pasted.encode("utf-8", "surrogatepass")) > MOST
    found = tried(pasted, at.reader.settings) if pasted.strip() and not is_long else None
    values = {
        "pasted": "" if is_long else pasted,
        "is_long": is_long,
        "found": found,
        "most": MOST >> 10,
    }
    return Page("trial.html", values, place="try", status=413 if is_long else 200)
