# SPDX-License-Identifier: BSD-3-Clause
"""A glance at a header says what the slow reader says, or nothing."""

import pytest

from ingest.mail import headers, peek

FIELDS = [
    b"List-Id: DPDK patches and discussions <dev.dpdk.org>",
    b"List-ID:\n  <DEV.dpdk.org>",
    b'List-Id: "a <b> c" <dev.dpdk.org>',
    b"List-Id: dev.dpdk.org",
    b"X-Mailing-List: linux-kernel@vger.kernel.org",
    b"X-List: <dev.dpdk.org>",
    b"List-Id: two words\nX-Mailing-List: <dev.dpdk.org>",
    b"List-Id:\nX-Mailing-List: <dev.dpdk.org>",
    b"Subject: List-Id: <dev.dpdk.org>",
    b"Subject: none",
    b"list-id: <>",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_list_is_the_one_that_headers_reads(field: bytes, end: bytes) -> None:
    raw = b"From: a@b\n" + field + b"\nTo: c@d\n\nList-Id: <body.example.org>\n"
    raw = raw.replace(b"\n", end)
    assert peek.list_name(peek.header(raw)) == headers.list_id(headers.read(raw))


@pytest.mark.parametrize("raw", [b"", b"\n", b"List-Id:", b"\0", b"List-Id: <" + b"a" * 99999])
def test_any_bytes_have_a_list_or_none(raw: bytes) -> None:
    assert len(peek.list_name(peek.header(raw))) <= 200


def test_the_mail_of_a_test_has_a_token_and_no_other_mail_has() -> None:
    raw = b"Subject: a\r\nx-recheck-INGEST-test: abc\r\n\r\n"
    assert peek.test_token(peek.header(raw)) == "abc"
    assert peek.test_token(peek.header(b"Subject: a\n\nX-Recheck-Ingest-Test: abc\n")) == ""
