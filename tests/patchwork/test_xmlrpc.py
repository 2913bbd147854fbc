# SPDX-License-Identifier: BSD-3-Clause
"""Patches found by XML-RPC, where the operator has turned that on, and what it may answer."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotFound, Unanswered
from ingest.ledger import Ledger
from ingest.patchwork import xmlrpc
from ingest.patchwork.api import Api
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import CI, DPDK, Sandbox
from tests.support.bad_server import Hell, http, says
from tests.support.clock import Clock
from tests.support.mails import cover, patch, reply
from tests.support.questions import DEV, paths, resolve

KINDS: list[dict[str, Any]] = [{"api": "1.1"}, {"kind": "freedesktop"}]


@contextmanager
def asking(box: Sandbox, ledger: Ledger) -> Iterator[Patchwork]:
    table = PatchworkSettings(box.url, xmlrpc=True)
    with closing(Patchwork(table, ledger, clock=Clock())) as patchwork:
        patchwork.projects()
        box.requests.clear()
        yield patchwork


def test_a_patch_is_found_whatever_the_subject_of_its_reply(ledger: Ledger) -> None:
    with Sandbox(api="1.1", xmlrpc=True) as box:
        for number in range(40):  # more than an unfiltered page holds
            box.file(patch(f"{number}@x"))
        raw = reply("39@x", subject="Re: quite another", list_id=DEV)
        with asking(box, ledger) as patchwork:
            assert resolve(patchwork, raw).id == 131182 + 39
        asked = paths(box)
        assert asked[-2:] == ["/xmlrpc/", f"/api/patches/{131182 + 39}/"]


@pytest.mark.parametrize("options", KINDS, ids=["1.1", "freedesktop"])
def test_of_a_cross_posted_patch_the_one_in_the_mail_s_project_counts(
    options: dict[str, Any], ledger: Ledger
) -> None:
    with Sandbox(xmlrpc=True, **options) as box:
        for project in (CI, DPDK):
            box.file(patch("both@x", list_id=project.list_id))
        with asking(box, ledger) as patchwork:
            found = [
                resolve(patchwork, reply("both@x", f"r@{each}", subject="Re: x", list_id=each))
                for each in (CI.list_id, DPDK.list_id)
            ]
    assert [each.project for each in found] == ["ci", "dpdk"]
    assert found[0].id != found[1].id


def test_a_cover_letter_is_found_as_before(ledger: Ledger) -> None:
    with Sandbox(api="1.1", xmlrpc=True) as box:
        box.file(cover("c@x"))
        box.file(patch("p@x", "[PATCH 1/1] a: fix it", in_reply_to="c@x"))
        with asking(box, ledger) as patchwork:
            raw = reply("c@x", subject="Re: [PATCH 0/1] a: fix it", list_id=DEV)
            assert resolve(patchwork, raw).kind == "cover"


def test_where_it_is_not_turned_on_it_is_not_asked(ledger: Ledger) -> None:
    with Sandbox(api="1.1", xmlrpc=True) as box:
        box.file(patch("other@x"))
        with (
            closing(Patchwork(PatchworkSettings(box.url), ledger, clock=Clock())) as patchwork,
            pytest.raises(NotFound),
        ):
            resolve(patchwork, reply("p@x", list_id=DEV))
        assert "/xmlrpc/" not in paths(box)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<methodResponse><params><param><value><string>&b;</string></value></param></params>"
    b"</methodResponse>"
)
ANSWERS = {
    "nothing": b"",
    "a page": b"<html><h1>Sorry</h1></html>",
    "cut short": b"<?xml version='1.0'?><methodResponse><params>",
    "entities": BOMB,
    "a fault": b"<methodResponse><fault><value><struct/></value></fault></methodResponse>",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_one_is_no_verdict(name: str, hell: Hell) -> None:
    hell.route(
        lambda seen: (
            says(http(200, ANSWERS[name], kind="text/html")) if seen.path == "/xmlrpc/" else None
        )
    )
    with closing(Api(PatchworkSettings(hell.url))) as api, pytest.raises(Unanswered):
        xmlrpc.patches(api, "p@x")


def test_only_a_row_with_the_very_message_id_counts(hell: Hell) -> None:
    """Text may be plain or typed; an id that cannot be is left out."""
    rows = "".join(
        "<value><struct><member><name>id</name><value><int>{}</int></value></member>"
        "<member><name>msgid</name><value>{}</value></member></struct></value>".format(*row)
        for row in [
            ("7", "<string>&lt;p@x&gt;</string>"),
            ("8", "&lt;p@x&gt;"),
            ("9", "<string>&lt;q@x&gt;</string>"),
            ("0", "&lt;p@x&gt;"),
            ("x", "&lt;p@x&gt;"),
            ("²", "&lt;p@x&gt;"),
            ("9" * 5000, "&lt;p@x&gt;"),
        ]
    )
    body = f"<methodResponse><params><param>{rows}</param></params></methodResponse>".encode()
    hell.route(lambda seen: says(http(200, body)) if seen.path == "/xmlrpc/" else None)
    with closing(Api(PatchworkSettings(hell.url))) as api:
        assert xmlrpc.patches(api, "p@x") == [7, 8]
