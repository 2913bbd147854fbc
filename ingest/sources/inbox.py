# SPDX-License-Identifier: BSD-3-Clause
"""A public-inbox, followed: each new commit's mail is taken in, once.

Owns how far each epoch was read, the commit and its date in the ledger's ``Feed``, and what
happens where that commit is not in the history any more. ``look`` is one look for news.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingest import intake, signs
from ingest.config.source_tables import InboxSettings
from ingest.config.values import DAY
from ingest.errors import FeedUnavailable
from ingest.ledger import Feed, Ledger
from ingest.mail import headers, peek
from ingest.mail.prefilter import may_hold_requests
from ingest.sources import public_inbox
from ingest.sources.git import Commit, Git
from ingest.sources.git_process import never
from ingest.sources.inbox_places import Folder, Mirror, after
from ingest.sources.public_inbox import V1, Piece
from ingest.words import counted, printable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Haul:
    """What a look came to. ``queued``: mails that are new and may hold a request."""

    mails: int = 0
    queued: int = 0


@dataclass(frozen=True, slots=True)
class _News:
    """What is new in an epoch, oldest first; ``tip``: its newest commit, "" if it has none;
    ``reaches_back``: whether the epoch before may hold something new, too."""

    git: Git
    tip: str
    commits: list[Commit]
    reaches_back: bool


class Inbox:
    """One public-inbox. Not to be shared by threads."""

    def __init__(
        self,
        name: str,
        settings: InboxSettings,
        copies: Path,
        *,
        max_size: int,
        give_up: float = DAY,
        clock: Callable[[], float] = time.time,
        stop: Callable[[], bool] = never,
        accepted: Callable[[], None] = lambda: None,
        counted_in: str = "",
    ) -> None:
        """``name``: as in [inbox.NAME]; ``copies``: the folder for what is fetched; ``max_size``:
        bytes of a mail; ``give_up``: seconds after which a mail is left out that cannot be taken in
        while others can; ``stop``: asked now and then whether to end; ``accepted`` is called when
        mail was queued; ``counted_in``: the folder of the state, for signs of life."""
        self.name = f"inbox.{name}"
        self._settings = settings
        self._give_up = give_up
        self._max_size = max_size
        self._counted_in = counted_in
        self._clock, self._stop, self._accepted = clock, stop, accepted
        self._source: Folder | Mirror = (
            Folder(Path(settings.url), settings.timeout, stop)
            if settings.url.startswith("/")
            else Mirror(settings, copies / name, stop)
        )

    def look(self, ledger: Ledger) -> Haul:
        """Take in what is new, oldest first.

        Raises ``FeedUnavailable``, which the ledger keeps as the feed's trouble, or
        ``StateUnavailable``; what was taken in until then stays, and is not looked at again.
        """
        feeds = {each.part: each for each in ledger.feeds() if each.name == self.name}
        whole = feeds.pop("", None)
        now = self._clock()
        is_first = whole is None
        if whole is None:
            whole = Feed(self.name, begun=self._begin(now))
            ledger.set_feed(whole)
        haul = Haul()
        self._stuck = ""
        try:
            if feeds:
                self._go_on(ledger, feeds, whole.begun, haul)
            elif is_first and not self._settings.since:
                self._begin_now(ledger)
            else:
                self._go_back(ledger, whole.begun, haul)
        except FeedUnavailable as error:
            self._source.forget()
            if not self._stop():
                ledger.set_feed(replace(whole, tries=whole.tries + 1, reason=str(error)))
            raise
        self._source.tidy()
        ledger.set_feed(replace(whole, moved=now, tries=0, reason=self._stuck))
        return haul

    def probe(self) -> str:
        """What there is, in a few words. Raises ``FeedUnavailable``."""
        newest = self._source.newest()
        tip = self._source.tip(newest)
        kind = "version 1" if newest == V1 else f"version 2, epoch {newest}"
        return f"{self._source.place(newest)}: {kind}, {f'at {tip[:12]}' if tip else 'empty'}"

    def _begin(self, now: float) -> float:
        """The Unix time from which on all is wanted."""
        if not self._settings.since:
            return now
        return datetime.fromisoformat(self._settings.since).replace(tzinfo=UTC).timestamp()

    def _begin_now(self, ledger: Ledger) -> None:
        """All that is there at the first look is old; nothing has to be fetched for that."""
        newest = self._source.newest()
        tip = self._source.tip(newest)
        self._keep(ledger, newest, Commit(tip, int(self._clock())) if tip else None)
        log.info("%s begins behind commit %s of epoch %s", self.name, tip or "none", newest)

    def _go_back(self, ledger: Ledger, begun: float, haul: Haul) -> None:
        """The first look at mail since a time, in as many epochs as it takes."""
        epoch = self._source.newest()
        found = [(epoch, self._news(epoch, None, begun))]
        while found[0][1].reaches_back and (epoch := _before(epoch)):
            found.insert(0, (epoch, self._news(epoch, None, begun)))
        for each, news in found:
            self._take(ledger, Feed(self.name, each), news, haul)

    def _go_on(self, ledger: Ledger, feeds: dict[str, Feed], begun: float, haul: Haul) -> None:
        """Look at the newest known epoch, and at those that came since."""
        epoch = V1 if set(feeds) == {V1} else max(set(feeds) - {V1}, key=int)
        feed = feeds[epoch]
        while True:
            following = after(epoch)
            is_last = self._source.tip(following) is None
            if is_last or self._source.tip(epoch) is not None:
                # After the look for the next one: until that came, mail came here.
                self._take(ledger, feed, self._news(epoch, feed, begun), haul)
            if is_last:
                return
            log.warning("%s has a new epoch, %s", self.name, following)
            epoch, feed = following, Feed(self.name, following)

    def _news(self, epoch: str, feed: Feed | None, begun: float) -> _News:
        """What is new in an epoch: the commits behind the last one that was taken in, or, if that
        is not in its history, those since then, with a day to spare."""
        git = self._source.git(epoch)
        tip = self._source.tip(epoch)
        if tip is None:
            raise FeedUnavailable(f"{self._source.place(epoch)} is gone: is {self._settings.url} "
                                  "still the right place?")  # fmt: skip
        last = _position(feed)
        if not tip or (last and last.id == tip):
            return _News(git, tip, [], reaches_back=not tip)
        tip = self._source.bring(epoch)
        bound = begun
        if last and feed:
            bound = max(begun, min(last.date, feed.moved) - DAY)
        while True:
            if last and git.is_ancestor(last.id, tip):
                return _News(git, tip, git.history(tip, last.id)[::-1], reaches_back=False)
            history = git.history(tip)
            complete = not self._source.can_deepen(git, len(history))
            number = public_inbox.since([c.date for c in history], bound, complete=complete)
            if number is not None:
                break
            tip = self._source.deepen(epoch)
        if last:
            log.warning(
                "the history of %s was rewritten: %s since %s are looked at again, and those that "
                "are known are passed over",
                *(self._source.place(epoch), counted(number, "commit")),
                datetime.fromtimestamp(bound, UTC).isoformat(" ", "seconds"),
            )
        return _News(git, tip, history[:number][::-1], complete and number == len(history))

    def _take(self, ledger: Ledger, feed: Feed, news: _News, haul: Haul) -> None:
        """Take in what is new, and keep how far that came. ``feed``: what is kept of the epoch. A
        mail that cannot be taken in holds up no other, and is tried again by the next looks, until
        it has been tried for too long."""
        kept, since, is_stuck = feed, feed.begun, False
        for piece in public_inbox.pieces(news.git, news.commits, self._max_size):
            queued, left = self._accept(ledger, piece)
            if left and not is_stuck and since and self._clock() - since >= self._give_up:
                log.error("left out for good, unless recheck-ingest replay takes it in: %s", left)
                left, since = "", 0.0
            if left and not is_stuck:
                is_stuck, self._stuck = True, left
                ledger.set_feed(replace(kept, begun=since or self._clock()))
            if piece.complete and not is_stuck:
                kept = self._keep(ledger, feed.part, piece.complete)
            if queued or not feed.begun:  # else it was counted by an earlier look
                self._count(piece)
            haul.mails += len(piece.starts)
            haul.queued += queued
            if queued:
                self._accepted()
            if self._stop():
                raise FeedUnavailable("it was stopped")
        if not news.commits:
            tip = Commit(news.tip, int(self._clock())) if news.tip else None
            self._keep(ledger, feed.part, tip)

    def _count(self, piece: Piece) -> None:
        """Leave signs of life."""
        if self._counted_in:
            heads = (
                peek.header(piece.buffer[start:end])
                for start, end in zip(piece.starts, piece.ends, strict=True)
            )
            default = self._settings.list_id.strip("<>").lower()
            lists = Counter(peek.list_name(head) or default for head in heads)
            signs.saw(self._counted_in, self.name, lists, self._clock())

    def _accept(self, ledger: Ledger, piece: Piece) -> tuple[int, str]:
        """Take in those mails that may hold a request; how many of them are new, and what is told
        of one that cannot be taken in."""
        possible = set(may_hold_requests(piece.buffer, piece.ends)) if piece.starts else set()
        mails = [
            piece.buffer[start:end]
            for number, (start, end) in enumerate(zip(piece.starts, piece.ends, strict=True))
            if number in possible or end - start > self._max_size
        ]

        def take(those: Sequence[bytes]) -> list[intake.Receipt]:
            delivered = [
                intake.Delivered(
                    headers.with_list(each, self._settings.list_id), self.name, self._clock()
                )
                for each in those
            ]
            return intake.accept_all(delivered, ledger=ledger, max_size=self._max_size)

        outcomes = intake.apart(take, mails) if mails else []
        left = ""
        for raw, outcome in zip(mails, outcomes, strict=True):
            if isinstance(outcome, Exception):
                id = peek.field(peek.header(raw), b"message-id").decode("ascii", "replace")
                left = left or f"the mail {printable(id)} cannot be taken in: {outcome!r}"
        return outcomes.count(intake.Receipt.QUEUED), left

    def _keep(self, ledger: Ledger, epoch: str, commit: Commit | None) -> Feed:
        position = f"{commit.id} {commit.date}" if commit else ""
        feed = Feed(self.name, epoch, position, moved=self._clock())
        ledger.set_feed(feed)
        return feed


def _before(epoch: str) -> str:
    """The epoch before, "" if there is none."""
    return str(int(epoch) - 1) if epoch not in (V1, "0") else ""


def _position(feed: Feed | None) -> Commit | None:
    """The last commit that was taken in."""
    if not feed or not feed.position:
        return None
    commit, _, date = feed.position.partition(" ")
    return Commit(commit, int(date))
