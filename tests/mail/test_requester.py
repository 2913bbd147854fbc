# SPDX-License-Identifier: BSD-3-Clause
"""Who asks: how the log names a sender, and what is read out of that name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mail import message as mails
from ingest.mail import requester
from ingest.mail.requester import Requester


def sent(sender: str, list_id: str = "dev.dpdk.org") -> mails.Mail:
    raw = f"From: {sender}\nList-Id: <{list_id}>\nSubject: a\n\nb\n" if list_id else ""
    return mails.parse((raw or f"From: {sender}\n\nb\n").encode())


@pytest.mark.parametrize(
    ("sender", "told"),
    [
        ("Robin Reviewer <robin@example.org>", "Robin Reviewer <robin@example.org>"),
        ("robin@example.org", "robin@example.org"),
        ("Robin via dev <dev@dpdk.org>", "Robin via dev (by way of dev@dpdk.org)"),
        ("Robin via dev <DEV@DPDK.org>", "Robin via dev (by way of DEV@DPDK.org)"),
        ("dev@dpdk.org", "somebody (by way of dev@dpdk.org)"),
        ("Robin <other@dpdk.org>", "Robin <other@dpdk.org>"),
    ],
)
def test_a_list_that_writes_itself_into_from_is_told_apart(sender: str, told: str) -> None:
    assert str(sent(sender).requester) == told


def test_without_a_list_the_sender_is_who_it_says() -> None:
    assert sent("Dev <dev@dpdk.org>", list_id="").requester == Requester("Dev", "dev@dpdk.org")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Robin Reviewer <robin@example.org>", ("Robin Reviewer", "robin@example.org", "")),
        ("robin@example.org", ("", "robin@example.org", "")),
        ("<robin@example.org>", ("", "robin@example.org", "")),
        ("Robin <x@y.z> <robin@example.org>", ("Robin <x@y.z>", "robin@example.org", "")),
        ("Robin via dev (by way of dev@dpdk.org)", ("Robin via dev", "", "dev@dpdk.org")),
        ("Robin (via dev list) <dev@dpdk.org>", ("Robin (via dev list)", "", "dev@dpdk.org")),
        ("'Robin' via Dev <dev@dpdk.org>", ("'Robin' via Dev", "", "dev@dpdk.org")),
        ("Via Smith <via@example.org>", ("Via Smith", "via@example.org", "")),
        ("Robin Viaduct <r@example.org>", ("Robin Viaduct", "r@example.org", "")),
        ("Robin", ("", "Robin", "")),
        ("Robin <>", ("Robin", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_name_in_the_log_is_taken_apart(text: str, read: tuple[str, str, str]) -> None:
    assert requester.read(text) == Requester(*read)


@given(st.text())
def test_what_is_taken_for_an_address_can_stand_in_a_header_and_in_a_command(text: str) -> None:
    read = requester.read(text)
    for address in (read.address, read.of_list):
        assert address.isascii()
        assert not set(address) & set('<>()[]\\,;:" \t\r\n\0')
        assert address.count("@") == bool(address)
