# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox answers as four real servers did, of Patchwork 3.3, 2.2 and 2.1 and of freedesktop's
fork, whose answers were recorded: with the same status, and JSON of the same shape; where it does
not depend on mails that the recordings do not show, with the same JSON.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ingest.sandbox import Account, FirstIds, Project, Sandbox
from tests.support import own_mails
from tests.support.places import DATA

SERVERS: dict[str, dict[str, Any]] = {
    "patchwork-3.3": {"api": "1.4"},
    "patchwork-2.2": {"api": "1.2"},
    "patchwork-2.1": {"api": "1.1"},
    "freedesktop": {"kind": "freedesktop"},
}
NO_MBOX = "the sandbox has no mboxes: nothing here reads any"
NO_WEB = "the sandbox has no pages of Patchwork for people: nothing here reads any"
# What is not reproduced, and why.
LEFT_OUT = {
    "patchwork-3.3": {
        "series-mbox": NO_MBOX,
        "web-mbox-by-msgid": NO_MBOX,
        "web-patch-by-msgid": NO_WEB,
        "time-zone-checks-since-an-hour-ago-in-utc": "it was asked of a server in another zone",
    },
    "patchwork-2.2": {
        "series-mbox": NO_MBOX,
        "web-mbox-by-msgid": NO_MBOX,
        "web-patch-by-msgid": NO_WEB,
    },
    "patchwork-2.1": {"series-mbox": NO_MBOX},
    "freedesktop": {"patch-mbox": NO_MBOX, "series-revision-mbox": NO_MBOX},
}
# How many answers are there, of the same shape, and equal in all. In the others ids and dates
# depend on mails that are in no recording, and Patchwork 2 numbers covers and patches together.
COUNTS = {
    "patchwork-3.3": (51, 47, 29),
    "patchwork-2.2": (47, 44, 23),
    "patchwork-2.1": (47, 46, 19),
    "freedesktop": (48, 46, 19),
}
PROJECTS = [
    Project(1, "DPDK", "dpdk", "dev.dpdk.org", "dev@dpdk.org"),
    Project(2, "CI", "ci", "ci.dpdk.org", "ci@dpdk.org"),
]
TOKENS: dict[str, Account] = {
    "secret": ("maint", {"dpdk", "ci"}, "maint@example.net"),
    "onlooker": ("onlooker", set[str]()),
}
FIRST = FirstIds(*[1] * 8)


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


WHO = {
    "Token (of nobody)": "Token nobody",
    "Token (of a maintainer)": "Token secret",
    "Token (of an account that maintains nothing)": "Token onlooker",
    "Basic (name and password of a maintainer)": basic("maint:secret"),
    "Basic (of an account that maintains nothing)": basic("onlooker:onlooker"),
    "Basic (wrong password)": basic("maint:wrong"),
}


def recorded(server: str) -> dict[str, dict[str, Any]]:
    """The answers by name; those that tell of nothing were given before anything was written."""
    found: dict[str, dict[str, Any]] = json.loads(
        (DATA / "recorded" / f"{server}.json").read_text()
    )
    return dict(sorted(found.items(), key=lambda each: not each[0].endswith("-none")))


def differences(real: Any, ours: Any, where: str = "") -> Iterator[str]:
    """Where two answers differ in their shape: the names of fields in their order, what is a list,
    a text, a number. What is null may be anything; of a list the first element stands for all."""
    if isinstance(real, dict) and isinstance(ours, dict):
        if list(real) != list(ours) and not where.endswith(".headers"):
            yield f"{where}: {list(real)} is {list(ours)}"
        for name in real.keys() & ours.keys():
            yield from differences(real[name], ours[name], f"{where}.{name}")
    elif isinstance(real, list) and isinstance(ours, list):
        if bool(real) != bool(ours):
            yield f"{where}: {len(real)} rows are {len(ours)}"
        for one, other in zip(real[:1], ours[:1], strict=False):
            yield from differences(one, other, f"{where}[]")
    elif real is not None and ours is not None and type(real) is not type(ours):
        yield f"{where}: {real!r} is {ours!r}"


def answer(box: Sandbox, request: dict[str, Any]) -> requests.Response:
    who = request.get("authorization")
    return requests.request(
        request["method"],
        box.url + request["path"],
        json=request.get("json"),
        headers={"Authorization": WHO.get(who, "Token secret")} if who else {},
        allow_redirects=False,
        timeout=10,
    )


@pytest.mark.parametrize("server", SERVERS)
def test_the_recorded_answers_are_reproduced(server: str) -> None:
    alike, equal, wrong = 0, 0, []
    with Sandbox(
        projects=PROJECTS,
        public_url="http://127.0.0.1",
        tokens=TOKENS,
        first=FIRST,
        **SERVERS[server],
    ) as box:
        for raw in own_mails.mails():
            box.file(raw)
        for name, real in recorded(server).items():
            ours = answer(box, real["request"])
            if name in LEFT_OUT[server]:
                continue
            told = [f"status {ours.status_code}"] if ours.status_code != real["status"] else []
            kinds = [
                each.get("Content-Type", "").partition(";")[0]
                for each in (real["headers"], ours.headers)
            ]
            told += [f"Content-Type {kinds[1]}"] if kinds[0] != kinds[1] else []
            if ours.headers.get("Allow") != real["headers"].get("Allow"):
                told.append(f"Allow {ours.headers.get('Allow')}")
            if "body" in real and not told:
                told += differences(real["body"], ours.json())
                equal += ours.json() == real["body"]
            wrong += [f"{name}: {each}" for each in told]
            alike += not told
    assert wrong == []
    assert (len(recorded(server)), alike, equal) == COUNTS[server]
