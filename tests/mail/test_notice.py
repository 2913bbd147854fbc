# SPDX-License-Identifier: BSD-3-Clause
"""What is mail for the operator, by its header."""

import pytest

from ingest.mail import headers, notice, peek

# Headers in the manner of list servers, and the kind of notice that they are.
HEADERS = {
    "Mailman 2": (
        b"X-List-Administrivia: yes\nList-Id: <dev.x>\nSubject: confirm 48c1",
        notice.ADMINISTRIVIA,
    ),
    "Mailman, older": (b"From: dev-request@x\nSubject: confirm 48c1", notice.CONFIRMATION),
    "Mailman 3": (
        b"From: dev-confirm+48c1@x\nSubject: Your confirmation is needed",
        notice.CONFIRMATION,
    ),
    "mlmmj": (
        b"Reply-To: dev+confsub-1@x\nSubject: Confirm subscribe to dev@x",
        notice.CONFIRMATION,
    ),
    "Majordomo": (b"Subject: Confirmation for subscribe dev", notice.CONFIRMATION),
    "a bounce": (b'Content-Type: multipart/report;\n boundary="a"\nSubject: no', notice.BOUNCE),
    "no administrivia": (b"X-List-Administrivia: no\nSubject: hello", ""),
    "a post": (b"List-Id: <dev.x>\nSubject: Re: confirm the port is up", ""),
    "a reply": (b"In-Reply-To: <a@x>\nSubject: Re: please confirm", ""),
    "a post of a report": (b"List-Id: <dev.x>\nSubject: a multipart/report of it", ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_notice_is_known_by_its_header(name: str, end: bytes) -> None:
    head, kind = HEADERS[name]
    raw = (head + b"\n\nX-List-Administrivia: yes\nSubject: confirm x\n").replace(b"\n", end)
    assert notice.kind(peek.header(raw)) == kind


def test_what_is_told_is_decoded_and_bounded() -> None:
    raw = b"From: a@b\nSubject: =?utf-8?q?confirm_=C3=A4?= " + b"x" * 9999 + b"\n\n"
    told = notice.reason(notice.CONFIRMATION, headers.read(raw))
    assert "“confirm ä xxx" in told
    assert len(told) < 400
