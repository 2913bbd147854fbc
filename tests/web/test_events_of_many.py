# SPDX-License-Identifier: BSD-3-Clause
"""/api/events, and ``log -f``, where many processes write at once and slowly: whoever begins to
listen in between hears all that happens from then on, once."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from ingest.commands import following
from ingest.config.tables import StateSettings
from ingest.ledger import Event, open_ledger
from tests.support.api_site import ApiSite
from tests.support.http_site import LISTEN
from tests.support.ledger_values import NOON
from tests.support.listening import Listener

WRITERS, EACH, LISTENERS = 4, 15, 6
THE_END = "the end"


@dataclass
class Heard:
    """What one listener heard, and when it had begun, by the clock of ``Told``."""

    begun: float
    names: Counter[str] = field(default_factory=Counter)


class Told:
    """Those who write: each event's name, and when its commit began."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.at: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._write, args=[number]) for number in range(WRITERS)
        ]

    def __enter__(self) -> "Told":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._threads:
            each.join()
        with closing(open_ledger(self._url)) as ledger:
            ledger.happenings.tell(Event(NOON, "paused", {"sink": THE_END}))

    def write(self) -> None:
        """Have all be written."""
        with self:
            pass

    def _write(self, number: int) -> None:
        chance = Random(number)
        with closing(open_ledger(self._url)) as ledger:
            for count in range(EACH):
                name = f"{number}-{count}"
                with ledger.batch():
                    ledger.happenings.tell(Event(NOON, "paused", {"sink": name}))
                    if chance.random() < 0.5:
                        time.sleep(chance.uniform(0, 0.15))
                    self.at[name] = time.monotonic()

    def is_heard_by(self, heard: Heard) -> bool:
        """Whether a listener heard nothing twice, and all whose commit began after it."""
        later = {name for name, at in self.at.items() if at > heard.begun}
        return later <= heard.names.keys() and set(heard.names.values()) <= {1}


def heard_by(listener: Listener, begun: float) -> Heard:
    """What a listener hears until the end."""
    heard = Heard(begun)
    for event in listener.events():
        name = event.data["details"]["sink"]
        if name == THE_END:
            return heard
        heard.names[name] += 1
    raise AssertionError("the stream ended")


@pytest.fixture
def site(quick_path: Path, ledger_url: str) -> Iterator[ApiSite]:
    toml = f"{LISTEN}events_interval = 0.01\n"
    with ApiSite(quick_path, toml=toml, ledger_url=ledger_url) as site:
        yield site


@pytest.mark.slow
def test_whoever_begins_to_listen_while_others_write_misses_nothing(
    site: ApiSite, ledger_url: str
) -> None:
    listeners = []
    with Told(ledger_url) as told:
        for _ in range(LISTENERS):
            time.sleep(0.05)
            listener = Listener(site.port, token="all").begin()
            listeners.append((listener, time.monotonic()))
    for listener, begun in listeners:
        with listener:
            heard = heard_by(listener, begun)
            assert told.is_heard_by(heard), heard
    print(f"{len(told.at)} events, {LISTENERS} listeners")


@pytest.mark.slow
def test_whoever_comes_back_again_and_again_misses_nothing(site: ApiSite, ledger_url: str) -> None:
    chance, heard = Random(1), Heard(0.0)
    with Listener(site.port, token="all").begin() as first:
        last = first.last
    told = Told(ledger_url)
    writing = threading.Thread(target=told.write)
    writing.start()
    name = ""
    while name != THE_END:
        with Listener(site.port, last, token="all") as listener:
            for event in listener.events():
                last, name = event.id, event.data["details"]["sink"]
                heard.names[name] += 1
                if name == THE_END or chance.random() < 0.3:
                    break
    writing.join()
    assert told.is_heard_by(heard)


@pytest.mark.slow
def test_whoever_follows_the_log_misses_nothing(quick_path: Path, ledger_url: str) -> None:
    open_ledger(ledger_url).close()
    state = StateSettings(dir=str(quick_path), ledger=ledger_url)
    with Told(ledger_url) as told:
        looks = following.follow(state, 0, pause=0.01)
        next(looks)
        heard = Heard(time.monotonic())
    for lines in looks:
        names = [each.text for each in lines]
        heard.names.update(name for name in names if THE_END not in name)
        if any(THE_END in name for name in names):
            break
    later = {name for name, at in told.at.items() if at > heard.begun}
    assert {name for name in later if not any(name in text for text in heard.names)} == set()
    assert set(heard.names.values()) <= {1}
