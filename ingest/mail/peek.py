# SPDX-License-Identifier: BSD-3-Clause
"""A glance at a mail's header that costs next to nothing, for mails that nobody reads further: the
list that a mail came by, and whether ``check --send-test`` has sent the mail.

Imports nothing, for the pipe.
"""

# The field of a mail that ``check --send-test`` sends: no sign of life of a list.
TEST_FIELD = "X-Recheck-Ingest-Test"

_TEST = TEST_FIELD.lower().encode()
# As in ``headers.list_id``, of which this is the quick form.
_LISTS = (b"list-id", b"x-mailing-list", b"x-list")
# Bytes of a header that are looked at.
_LONGEST_HEADER = 64 << 10
_LONGEST_NAME = 200


def header(raw: bytes) -> bytes:
    """The header of a mail in lower case, its line ends LF, with one in front of the first field
    and behind the last."""
    ends = [at for at in (raw.find(b"\n\n"), raw.find(b"\n\r\n")) if at >= 0]
    end = min([*ends, _LONGEST_HEADER])
    return b"\n" + raw[:end].replace(b"\r\n", b"\n").lower() + b"\n"


def list_name(head: bytes) -> str:
    """The id of the list in a ``header``, "" without one. Encoded words stay as they are."""
    for name in _LISTS:
        if value := field(head, name):
            bracketed = value.rpartition(b"<")[2].partition(b">")[0].strip()
            if b">" in value and b"<" in value and bracketed:
                return _text(bracketed)
            if b" " not in value:
                return _text(value)
    return ""


def test_token(head: bytes) -> str:
    """What the mail of ``check --send-test`` is recognised by, "" for any other mail."""
    return _text(field(head, _TEST))


def field(head: bytes, name: bytes) -> bytes:
    """The value of the first field of this name in a ``header``, unfolded, "" without one."""
    begin = head.find(b"\n" + name + b":")
    if begin < 0:
        return b""
    begin += len(name) + 2
    end = head.find(b"\n", begin)
    while head[end + 1 : end + 2] in (b" ", b"\t"):
        end = head.find(b"\n", end + 1)
    return b" ".join(head[begin:end].split())


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").replace("\0", "")[:_LONGEST_NAME]
