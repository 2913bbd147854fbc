# SPDX-License-Identifier: BSD-3-Clause
"""The sink [command.NAME]: runs a program for each request, which gets the request as JSON on its
standard input and in RECHECK_* variables, and says with its exit code what came of it.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from typing import Any

from ingest.config.sink_tables import CommandSettings
from ingest.config.tables import Settings
from ingest.errors import EX_TEMPFAIL, NotTaken, SinkUnavailable
from ingest.ledger import Request
from ingest.policy.manners import Manners
from ingest.results import word
from ingest.sinks import Configured, Given, Stop, program
from ingest.sinks.request_json import shape
from ingest.words import printable

# Bytes of a variable. A hostile mail names a hundred thousand labels, and a kernel starts no
# program with more than it likes in its environment.
_LONGEST = 1 << 14
# What the service manager tells us is not meant for the program.
_NOT_PASSED_ON = (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID", b"LISTEN_")
_OURS, _SETTINGS = b"RECHECK_", b"RECHECK_INGEST_"


def receiver(name: str, settings: Settings) -> Configured:
    """The configured sink of this name."""
    return Command(name, settings.command[name], settings)


class Command:
    """A ``Receiver`` that is a program."""

    once_per_mail = False
    manners = Manners()

    def __init__(self, name: str, table: CommandSettings, settings: Settings) -> None:
        self.name = f"command:{name}"
        self._table = table
        self._settings = settings

    @property
    def purpose(self) -> str:
        """See ``Configured``."""
        return f"runs {self._table.program[0]}"

    def problems(self) -> list[str]:
        """See ``Configured``."""
        first = self._table.program[0]
        if found := shutil.which(first):
            if os.access(found, os.R_OK):
                return []
            return [f"{found} cannot be read: a script that cannot be read cannot be run"]
        there = os.sep in first and os.path.exists(first)
        return [f"{first} cannot be executed" if there else f"there is no program {first}"]

    def dangers(self) -> list[str]:
        """See ``Configured``."""
        return []

    def give(self, request: Request, *, again: bool, stop: Stop) -> str | Given:
        """See ``Receiver``. Exit code 0 confirms, 75 is tried again, any other is not taken, nor
        is what ends by a signal that is not ours."""
        first = self._table.program[0]
        asked = shape(request, self._settings)
        try:
            ended = program.run(
                self._table.program,
                json.dumps(asked).encode() + b"\n",
                {**inherited(os.environb), **variables(asked, again=again)},
                seconds=self._table.timeout,
                stop=stop,
                begin=word.LONGEST_OUTPUT + 1 if self._table.results else 0,
            )
        except OSError as error:
            raise SinkUnavailable(f"{first} cannot be started: {error.strerror}") from error
        said = _last_line(ended.err)
        match ended:
            case program.Ended(cut=program.Cut.TIMED_OUT):
                raise SinkUnavailable(f"{first} was ended after {self._table.timeout:g} s{said}")
            case program.Ended(cut=program.Cut.STOPPED):
                raise SinkUnavailable(f"{first} was ended unfinished: there was no more time{said}")
            case program.Ended(code=None):
                raise SinkUnavailable(f"what {first} ended with cannot be known: ignored SIGCHLD")
            case program.Ended(code=0) if self._table.results:
                said_of = word.read(ended.begin, request, author=self.name, now=time.time())
                told = f", {said_of.told}" if said_of.told else ""
                return Given(f"exit code 0{told}", said_of.results)
            case program.Ended(code=0):
                return f"exit code 0{_last_line(ended.out)}"
            case program.Ended(code=code) if code == EX_TEMPFAIL:
                raise SinkUnavailable(f"{first} is not ready, exit code {code}{said}")
            case program.Ended(code=int(code)) if code < 0:
                raise NotTaken(f"{first} was ended by {_signal(-code)}{said}")
        raise NotTaken(f"{first} failed, exit code {ended.code}{said}")


def variables(asked: Mapping[str, Any], *, again: bool) -> dict[bytes, bytes]:
    """A request's JSON as environment variables, all but its links and groups: lists with commas,
    each text one line of printable characters, empty for what is not there. One that is too long
    is left out; the JSON has it."""
    arguments, left_out = asked["arguments"], ("arguments", "links", "groups")
    told = {
        name: "" if value is None else value
        for name, value in asked.items()
        if name not in left_out
    }
    lists = {"contexts", "leftovers"}
    texts = {
        **{name: ",".join(told[name]) if name in lists else str(told[name]) for name in told},
        "arguments": ",".join(f"{name}={value}" for name, value in arguments.items()),
        "again": "1" if again else "0",
    }
    if len(texts["arguments"]) <= _LONGEST:
        # Of two names that differ in case or hyphens only, the first counts.
        for name, value in reversed(arguments.items()):
            if name.isascii():
                texts[f"argument_{name.replace('-', '_')}"] = value
    plain = {name: _plain(text).encode() for name, text in texts.items()}
    return {
        _OURS + name.upper().encode(): text for name, text in plain.items() if len(text) <= _LONGEST
    }


def inherited(environment: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What of our own environment the program gets, our settings among it: it may well call us."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_PASSED_ON)
        and (not name.startswith(_OURS) or name.startswith(_SETTINGS))
    }


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _last_line(output: bytes) -> str:
    """The last line of an output that says something, as the end of a sentence."""
    lines = [printable(line) for line in output.decode("utf-8", "replace").splitlines()]
    return next((f": {line}" for line in reversed(lines) if line), "")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
