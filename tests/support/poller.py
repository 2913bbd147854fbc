# SPDX-License-Identifier: BSD-3-Clause
"""What get_reruns.py does, in words of our own: the oracle that intake is held against.

Facts out of 000_51de32ff8a4b1afd.txt, with what the script learnt since: ``name=value`` items,
and the pages of a list.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

_LINE = re.compile(r"^Recheck-request: ((?:(?:[\w-]+=)?[\w-]+(?:, ?\n?)?)+)", re.MULTILINE)
_KNOWN_ARGUMENTS = {"rebase"}
_NEXT = re.compile(r'<([^>]*)>; rel="next"')
_CATEGORIES = (("cover-comment-created", "cover"), ("patch-comment-created", "patch"))


@dataclass
class Asked:
    """Contexts and arguments."""

    contexts: set[str] = field(default_factory=set)
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """One poll's harvest: by series, and by the comment's Message-ID and series."""

    retests: dict[int, Asked] = field(default_factory=dict)
    comments: dict[tuple[str, int], Asked] = field(default_factory=dict)
    last_comment_timestamp: str | None = None
    events: int = 0


class Poller:
    """The script against a server. It follows the addresses that the API gives; only their host
    is replaced, because a sandbox names one that it is not."""

    def __init__(self, url: str, contexts: list[str]) -> None:
        self._server = HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._contexts = contexts

    def close(self) -> None:
        self._server.close()

    def poll(self, since: str, multipage: bool = True) -> Found:
        events = [
            (event, kind)
            for category, kind in _CATEGORIES
            for event in self._events(f"/api/events/?since={since}&category={category}", multipage)
        ]
        events.sort(key=lambda item: datetime.fromisoformat(item[0]["date"]), reverse=True)
        found = Found(events=len(events))
        if events:
            newest = datetime.fromisoformat(events[0][0]["date"])
            found.last_comment_timestamp = (newest + timedelta(microseconds=1)).isoformat()
        for event, kind in events:
            payload = event["payload"]
            series = self._get(payload[kind]["url"])[0]["series"]
            if not series:
                continue
            asked = self._asked(self._get(payload["comment"]["url"])[0]["content"])
            if asked:
                number = series[0]["id"]
                found.comments[payload["comment"]["msgid"].strip("<>"), number] = asked
                entry = found.retests.setdefault(number, Asked())
                entry.contexts |= asked.contexts
                entry.arguments.update(asked.arguments)
        return found

    def _events(self, address: str, multipage: bool) -> Iterator[Any]:
        while True:
            rows, following = self._get(address)
            yield from rows
            if not multipage or not following:
                return
            address = following

    def _get(self, address: str) -> tuple[Any, str]:
        """The JSON at an address, and the next page's address."""
        self._server.request("GET", re.sub(r"^https?://[^/]+", "", address))
        answer = self._server.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        following = _NEXT.search(answer.headers.get("Link", ""))
        return json.loads(content), following[1] if following else ""

    def _asked(self, content: str) -> Asked | None:
        line = _LINE.search(content)
        if not line:
            return None
        items = [item.strip() for item in line[1].split(",")]
        arguments = dict(item.split("=", 1) for item in items if "=" in item)
        contexts = {item for item in items if item in self._contexts}
        if contexts or (arguments and arguments.keys() <= _KNOWN_ARGUMENTS):
            return Asked(contexts, arguments)
        return None
