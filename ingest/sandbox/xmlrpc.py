# SPDX-License-Identifier: BSD-3-Clause
"""The one method of Patchwork's XML-RPC interface that the sandbox has: ``patch_list`` by
Message-ID and project, as Patchwork 2 and freedesktop's fork have it where it is turned on.
"""

import xmlrpc.client
from collections.abc import Iterable
from typing import Any, Protocol

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
    """Answer one call. Texts that may hold anything are base64, as Patchwork sends them."""
    (wanted,), method = xmlrpc.client.loads(body)
    if method != "patch_list" or not isinstance(wanted, dict):
        told = xmlrpc.client.dumps(xmlrpc.client.Fault(1, "no such method"), methodresponse=True)
        return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, told.encode())
    rows: list[dict[str, Any]] = [
        {
            "id": patch.id,
            "msgid": patch.letter.message_id,
            "name": patch.name,
            "project": xmlrpc.client.Binary(patch.project.name.encode()),
            "project_id": patch.project.id,
        }
        for patch in patches
        if patch.letter.message_id == wanted.get("msgid")
        and wanted.get("project_id", patch.project.id) == patch.project.id
    ]
    told = xmlrpc.client.dumps((rows,), methodresponse=True)
    return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, told.encode())
