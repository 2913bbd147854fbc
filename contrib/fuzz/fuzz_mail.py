# SPDX-License-Identifier: BSD-3-Clause
"""Coverage-guided fuzzing of everything that is done to a mail's bytes, with atheris.

    pip install atheris
    python contrib/fuzz/fuzz_mail.py -max_total_time=600 -max_len=65536 CORPUS-DIR

What must hold: any bytes give a ``Mail`` or ``Unreadable``; the prefilter never denies a mail
that has a request; everything that is kept can be stored as text. A finding is written to a file
``crash-…``; put it into tests/data/fuzz/, from where the tests read it for good.
"""

import sys

import atheris

with atheris.instrument_imports(include=["ingest", "email", "mailparser"]):
    from ingest.errors import Unreadable
    from ingest.mail import headers, message, recheck
    from ingest.mail.prefilter import may_hold_request
    from ingest.policy import selection


def one_mail(raw: bytes) -> None:
    """All that the program does with a mail's bytes, and what must hold of it."""
    head = headers.read(raw)
    for text in (headers.identity(raw, head), headers.message_id(head), headers.list_id(head)):
        text.encode()
    try:
        read = message.parse(raw)
    except Unreadable:
        return
    for text in (read.sender, read.subject, read.text, *read.candidates):
        text.encode()
        assert "\0" not in text
    selection.no_request(read)
    recheck.near_miss(read.text)
    request = recheck.parse(read.text)
    if request:
        assert may_hold_request(raw)
        selection.select(request, ["iol-*"], ["rebase"])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_mail)
    atheris.Fuzz()
