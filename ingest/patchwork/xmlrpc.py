# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's old XML-RPC interface, for the one question that the REST API of an old server has no
filter for: which patches have a Message-ID. Off unless the operator turns it on.
"""

import re

from ingest.errors import Unanswered
from ingest.patchwork.api import Api, is_id

_CALL = (
    "<?xml version='1.0'?>\n<methodCall><methodName>patch_list</methodName><params><param><value>"
    "<struct>{members}</struct></value></param></params></methodCall>\n"
)
_ID = re.compile(r"[0-9]{1,18}")
_MEMBER = "<member><name>{name}</name><value>{value}</value></member>"


def is_there() -> bool:
    """Whether the package is installed that reads XML of strangers safely."""
    from importlib.util import find_spec

    return find_spec("defusedxml") is not None


def patches(api: Api, message_id: str, project: int = 0) -> list[int]:
    """The patches of a Message-ID, in one project if its id is given. No cover letters are found.
    Raises as ``Api.page``."""
    wanted = f"<{message_id}>"
    text = wanted.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    members = [_MEMBER.format(name="msgid", value=f"<string>{text}</string>")]
    if project:
        members.append(_MEMBER.format(name="project_id", value=f"<int>{project}</int>"))
    answer = api.xml("/xmlrpc/", _CALL.format(members="".join(members)).encode())
    rows = _rows(answer)
    ids = [
        row["id"] for row in rows if row.get("msgid") == wanted and _ID.fullmatch(row.get("id", ""))
    ]
    return [number for number in map(int, ids) if is_id(number)]


def _rows(answer: bytes) -> list[dict[str, str]]:
    """The members of each structure in an answer, as text. Raises ``Unanswered``."""
    from xml.etree.ElementTree import ParseError

    try:
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError as error:
        raise Unanswered(
            "[patchwork] xmlrpc needs the package defusedxml: install recheck-ingest[xmlrpc]"
        ) from error
    try:
        root = fromstring(answer)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Unanswered("Patchwork's answer to XML-RPC is not XML that can be read") from error
    if root.tag != "methodResponse" or root.find("fault") is not None:
        raise Unanswered("Patchwork answers XML-RPC with an error: is it turned on there?")
    return [
        {
            (member.findtext("name") or ""): _text(member.find("value"))
            for member in struct.findall("member")
        }
        for struct in root.iter("struct")
    ]


def _text(value: object) -> str:
    """The text of a value, whether its type is named or not."""
    parts = value.itertext() if hasattr(value, "itertext") else ()
    return "".join(parts).strip()
