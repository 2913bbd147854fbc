# SPDX-License-Identifier: BSD-3-Clause
"""The errors of the whole program; whether one is temporary is a property of its type.

Raised where the cause is known, handled in one place by each source, by the worker and by
``cli``. A class's docstring is its message when none is given.
"""

# sysexits.h
EX_OK = 0
EX_NOTHING = 1  # not sysexits.h's: what was asked for is not there
EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
EX_CONFIG = 78
EX_INTERRUPTED = 130  # as shells have it


class Error(Exception):
    """Something foreseeable went wrong. ``advice``: what to do next, for programs that show it."""

    exit_code = EX_TEMPFAIL
    advice = "try again"

    def __str__(self) -> str:
        return super().__str__() or " ".join((type(self).__doc__ or "").split())


class Temporary(Error):
    """It may go better later."""

    exit_code = EX_TEMPFAIL


class Permanent(Error):
    """It will go no better later."""

    exit_code = EX_DATAERR


class StateUnavailable(Temporary):
    """The ledger cannot be read or written now."""

    advice = "run recheck-ingest check: it looks at the ledger and its folder"


class NoLedger(StateUnavailable):
    """There is no ledger yet, and a command that only looks makes none."""

    exit_code = EX_NOTHING
    advice = "name the ledger's folder with --state, or let the first mail make one"


class NoRoom(StateUnavailable):
    """What was to be written does not fit into the ledger now; smaller mail may."""


class LostConnection(StateUnavailable):
    """The connection to the ledger was lost."""


class LostLease(LostConnection):
    """The connection to the ledger was lost, and a lease with it."""


class LostClaim(Temporary):
    """Another worker has taken up the mail that this one was at."""


class Unavailable(Temporary):
    """Patchwork is down, overloaded or talks nonsense."""

    exit_code = EX_UNAVAILABLE
    advice = "try again later; recheck-ingest check says how Patchwork is"

    def __init__(self, message: str = "", retry_after: float | None = None) -> None:
        """``retry_after``: seconds that Patchwork asked us to wait, if it did."""
        super().__init__(message)
        self.retry_after = retry_after


class NoApi(Unavailable):
    """There is no Patchwork API at the configured address."""


class Unanswered(Temporary):
    """Patchwork is well, but gives this one question no usable answer."""

    exit_code = EX_UNAVAILABLE
    advice = "try again later; recheck-ingest check says how Patchwork is"


class NotYet(Temporary):
    """Patchwork is asked again soon, about the same as before: nothing is decided yet."""

    def __init__(self, message: str, pause: float) -> None:
        """``pause``: seconds until it makes sense to ask again. It is no further attempt of the
        retry schedule."""
        super().__init__(message)
        self.pause = pause


class NotFound(Temporary):
    """Patchwork knows no patch or cover letter that this mail replies to, yet."""


class OutOfTime(Temporary):
    """The time that there was for Patchwork is over."""


class FeedUnavailable(Temporary):
    """A feed of mails cannot be read now."""

    advice = "it is read again by itself; see recheck-ingest status"


class SinkUnavailable(Temporary):
    """What a sink writes to cannot be written now."""

    advice = "run recheck-ingest check: it looks at what is written to"

    def __init__(self, message: str = "", retry_after: float | None = None) -> None:
        """``retry_after``: seconds that the receiver asked us to wait, if it did."""
        super().__init__(message)
        self.retry_after = retry_after


class WrongPath(SinkUnavailable):
    """A file that the user named cannot be written, and will not be later either."""

    exit_code = EX_DATAERR
    advice = "name another file"


class TurnedAway(Temporary):
    """The receiver turned a request away for a reason that is not the request's: who we are, or
    where it was sent."""


class NotTaken(Permanent):
    """Who receives requests does not want this one."""


class IsSubmission(Permanent):
    """The mail is a patch or cover letter itself."""


class Unreadable(Permanent):
    """No mail can be made out of these bytes."""


class BadInput(Permanent):
    """A file that the user named is not what it should be."""

    exit_code = EX_DATAERR
    advice = "mend the file, or name another one"


class UsageError(Permanent):
    """The command line makes no sense."""

    exit_code = EX_USAGE
    advice = "see recheck-ingest COMMAND --help"


class Interrupted(Temporary):
    """The user has ended it before its end."""

    exit_code = EX_INTERRUPTED


class NothingFound(Permanent):
    """Nothing of what was asked for is there."""

    exit_code = EX_NOTHING
    advice = "see recheck-ingest list and status for what there is"


class ConfigError(Permanent):
    """The configuration makes no sense."""

    exit_code = EX_CONFIG
    advice = "mend the setting; recheck-ingest config says where each one comes from"
