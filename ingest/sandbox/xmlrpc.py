# SPDX-License-Identifier: BSD-3-Clause
"""The one method of Patchwork's XML-RPC interface that the sandbox has: ``patch_list`` by
Message-ID and project, as Patchwork 2 and freedesktop's fork have it where it is turned on.
"""

import base64
import html
from collections.abc import Iterable
from typing import Protocol

from ingest.sandbox.models import Project
from ingest.sandbox.parser import Letter
from ingest.sandbox.views import Answer

PATH = "/xmlrpc/"


class Patch(Protocol):
    """A patch of either kind of store."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def project(self) -> Project: ...
    @property
    def letter(self) -> Letter: ...


def answer(patches: Iterable[Patch], body: bytes) -> Answer:
    """Answer one call. Raises what ``defusedxml`` raises for one that is not XML."""
    from defusedxml.ElementTree import fromstring

    call = fromstring(body)
    if call.findtext("methodName") != "patch_list":
        fault = "<fault><value><string>no such method</string></value></fault>"
        return _answer(fault)
    wanted: dict[str, str] = {}
    for member in call.iter("member"):
        value = member.find("value")
        if value is not None:
            wanted[member.findtext("name") or ""] = "".join(value.itertext()).strip()
    found = [
        patch
        for patch in patches
        if patch.letter.message_id == wanted.get("msgid")
        and str(patch.project.id) == wanted.get("project_id", str(patch.project.id))
    ]
    rows = "".join(map(_row, found))
    return _answer(
        f"<params><param><value><array><data>{rows}</data></array></value></param></params>"
    )


def _row(patch: Patch) -> str:
    """A patch; what may hold any text is base64, as Patchwork sends it."""
    project = base64.b64encode(patch.project.name.encode()).decode()
    fields = {
        "id": f"<int>{patch.id}</int>",
        "msgid": f"<string>{html.escape(patch.letter.message_id)}</string>",
        "name": f"<string>{html.escape(patch.name)}</string>",
        "project": f"<base64>\n{project}\n</base64>",
        "project_id": f"<int>{patch.project.id}</int>",
    }
    members = "".join(
        f"<member><name>{name}</name><value>{value}</value></member>"
        for name, value in fields.items()
    )
    return f"<value><struct>{members}</struct></value>"


def _answer(content: str) -> Answer:
    text = f"<?xml version='1.0'?>\n<methodResponse>{content}</methodResponse>\n"
    return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, text.encode())
