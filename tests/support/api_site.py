# SPDX-License-Identifier: BSD-3-Clause
"""A running listener with something in its ledger, and its API as a program calls it."""

import contextlib
import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.config.web_tables import DEEDS
from ingest.ledger import Ledger, open_ledger
from tests.support.http_service import NOWHERE
from tests.support.http_site import LISTEN, Site
from tests.support.loop_thread import PATIENCE


@dataclass(frozen=True)
class Answered:
    """An answer. ``json``: its body, None if that is not JSON."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def token(folder: Path, name: str, *may: str) -> str:
    """A table [token.NAME] of a token that is called as its name."""
    file = folder / f"{name}.token"
    file.write_text(f"{name}\n")
    file.chmod(0o600)
    return f'[token.{name}]\nfile = "{file}"\nmay = {json.dumps(may)}\n'


class ApiSite(Site):
    """A listener that knows the token "all", which may do everything, and for each deed one that
    is called as the deed and may do only that."""

    def __init__(
        self,
        folder: Path,
        fill: Callable[[Ledger], object] = bool,
        toml: str = LISTEN,
        patchwork: str = NOWHERE,
        *,
        ledger_url: str = "",
    ) -> None:
        tables = token(folder, "all", *DEEDS) + "".join(token(folder, each, each) for each in DEEDS)
        whole = f'{toml}[patchwork]\nurl = "{patchwork}"\n{tables}'
        super().__init__(folder, whole, ledger_url=ledger_url)
        with self.ledger() as ledger:
            fill(ledger)

    @contextlib.contextmanager
    def ledger(self) -> Any:
        """The ledger, as another process has it."""
        with contextlib.closing(open_ledger(self.ledger_url)) as ledger:
            yield ledger

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "all",
        fields: Mapping[str, str] | None = None,
    ) -> Answered:
        """Call an operation with a token, "" for none."""
        given = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = {"Authorization": f"Bearer {by}"} if by else {}
        head |= {"Content-Type": "application/json"} if body is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(
                method, path, None if body is None else given, {**head, **(fields or {})}
            )
            answer = connection.getresponse()
            return Answered(answer.status, dict(answer.getheaders()), answer.read())

    def see(self, path: str, **other: Any) -> Any:
        """What is answered to GET, which must be a success."""
        answer = self.call("GET", path, **other)
        assert answer.status == 200, answer
        return answer.json
