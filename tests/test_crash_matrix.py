# SPDX-License-Identifier: BSD-3-Clause
"""The process is killed between any two statements from accepting a mail to the moved cursor.

Afterwards what a mail server or an operator does anyway, delivering again or starting the worker
again, leads to what a run without a crash leads to: each mail with its outcome, each request once,
and the same document. The tables name the points; the last tests take every line in turn. In
PostgreSQL a sample is taken of both.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.support.crash_lab import (
    CLAIMS,
    COMMIT,
    COMMITTED,
    ENDING,
    FIRST,
    IDS,
    KINDS,
    MAILS,
    NEW,
    STANDING,
    TAKEN_BACK,
    WAITS,
    Lab,
    Labs,
    contexts,
    labs_of,
    over_both,
    samples,
    unstamped,
)
from tests.support.crashes import Place, Point
from tests.support.service import eventually


def at(file: str, text: str) -> Point:
    return Point(Place(file, text))


PIPE, INTAKE, WORKER, RESOLUTION = (
    "commands/pipe.py",
    "intake.py",
    "worker.py",
    "patchwork/resolution.py",
)
MADE = "ledger/sqlite_file.py"
FORWARDING = "sources/forwarding.py"
SINK, RETESTS, FILES = "sinks/json_file.py", "retests/file.py", "files.py"
ONE_BY_ONE, COMMAND, PROGRAM = "sinks/one_by_one.py", "sinks/command.py", "sinks/program.py"

# Patchwork has answered which patch it is.
NAMED = Place("patchwork/rest.py", "there = [row for row in ours")

# The first mail there ever was, by a pipe that also works it off.
IN_THE_PIPE = {
    "the mail is read": at(PIPE, "return _keep(raw, arguments)"),
    "the settings are known": at(PIPE, "ledger = open_configured("),
    "the state folder is made": at(MADE, "os.chmod(folder, "),
    "the state folder has its permissions": at(MADE, "lock = locks.take("),
    "the new ledger's file is made": at(MADE, "os.fchmod(made, mode)"),
    "the new ledger's schema is begun": at(MADE, "_begin_generation(database, new)"),
    "the new ledger's schema is made": at(MADE, "PRAGMA application_id={"),
    "the new ledger is committed": at(MADE, "files.sync(new)"),
    "the new ledger is on the disk": at(MADE, "os.rename(new, path)"),
    "the new ledger is in its place": at(MADE, "os.fsync(lock)"),
    "the ledger is open": at(PIPE, "recipient = os.environ.get("),
    "the mail's identity is known": at(INTAKE, "kept = iter(ledger.accept_all(held)"),
    "the transaction is begun": at(MAILS, "known = self._known("),
    "no copy is known": at(MAILS, 'insert_all("mail", mails)'),
    "the mail is inserted": at(MAILS, "order.keep()"),
    "the mail is about to be committed": Point(COMMIT),
    "the mail is committed": Point(COMMITTED),
    "the mail is accepted": at(INTAKE, "_, new = next(kept)"),
    "the mail is due": at(PIPE, "with ledger.lease(WORKER_LEASE) as held:"),
    "the lease is held": at(PIPE, "patchwork = connect("),
}

# The first mail by a pipe that has a spool before a ledger on another machine, which it also works
# off.
IN_A_PIPE_WITH_A_SPOOL = {
    "the settings are known": at(PIPE, "spool = forwarding.spool_of("),
    "the new spool is on the disk": at(MADE, "os.rename(new, path)"),
    "the spool is open": at(PIPE, "return spool, partial("),
    "the mail is in the spool, not committed": at("ledger/spool.py", "if added:"),
    "the mail is accepted": at(INTAKE, "_, new = next(kept)"),
    "the spool is looked at": at(PIPE, "with spool.lease() as held:"),
    "the spool's lease is held": at(PIPE, "with closing(open_configured(settings.state)) as led"),
    "the mail is about to be forwarded": at(FORWARDING, "ledger.accept_all(["),
    "the mail is forwarded": at(FORWARDING, "spool.drop(taken)"),
    "the mail has left the spool": at(FORWARDING, "count += len(taken)"),
    "the mail is due": at(PIPE, "with ledger.lease(WORKER_LEASE) as held:"),
    "the worker's lease is held": at(PIPE, "patchwork = connect("),
}

# Several mails that wait: one for a patch, one for a cover letter, one that is no request, and
# one whose patch never comes.
IN_THE_WORKER = {
    "the ledger is open": at(
        "commands/entries/mail_in.py", "as ledger, ledger.lease(WORKER_LEASE) as held:"
    ),
    "the lease is held": at(WORKER, "self._ledger.recover("),
    "a mail is claimed, not committed": Point(COMMIT, CLAIMS),
    "a mail is claimed": at(WORKER, "self.work_on(queued)"),
    "a mail is judged": at(WORKER, "down = outage.broken("),
    "Patchwork is about to be asked": at(RESOLUTION, "self._projects = self._projects_of_list()"),
    "Patchwork has told its projects": at(RESOLUTION, "return [each.link_name for"),
    "Patchwork has named the patch": Point(NAMED),
    "the answer is about to be remembered": Point(COMMIT, NAMED),
    "the answer is remembered": Point(COMMITTED, NAMED),
    "the series is known": at("recording.py", "return Request("),
    "the outcome's transaction is begun": Point(TAKEN_BACK),
    "the request is in the log": Point(ENDING),
    "the outcome is about to be committed": Point(COMMIT, ENDING),
    "the outcome is committed": Point(COMMITTED, ENDING),
    "the outcome is told": at(WORKER, "log.log(came.level, "),
    "a mail is about to wait": Point(COMMIT, WAITS),
    "a mail waits": Point(COMMITTED, WAITS),
    "a mail is about to be ignored": at(WORKER, "self._ledger.finish(queued, outcome, reason, ev"),
    "all mails are worked on": at(SINK, "if not held or is_paused("),
    "all is published": at(WORKER, "if dropped := self._ledger.prune("),
}

IN_HAND = "in_hand.py"

# Several mails that are worked on together, of which Patchwork is asked nothing.
TOGETHER = {
    "several are taken up, not committed": Point(COMMIT, CLAIMS),
    "several are taken up": at(WORKER, "self.work_on(queued)"),
    "the first is decided": at(WORKER, "worked += 1"),
    "the second is begun": Point(
        Place(WORKER, "self.work_on(queued)"), Place(WORKER, "worked += 1")
    ),
    "all are decided": at(IN_HAND, "came = self._together()"),
    "the transaction of all is begun": at(IN_HAND, "self._is_together = True"),
    "the first is about to be ended": at(IN_HAND, "return [write() for _"),
    "the first request is in the log": Point(ENDING),
    "the second is about to be ended": Point(TAKEN_BACK, ENDING),
    "all are about to be committed": Point(COMMIT, ENDING),
    "all are committed": Point(COMMITTED, ENDING),
    "the first is about to be told": at(WORKER, "log.log(came.level, "),
    "all are told": at(SINK, "if not held or is_paused("),
}

REPLACED = Place(RETESTS, "os.replace(new, target)")

# The same, where requests are on their way from the log into the file.
IN_THE_SINK = {
    "the cursor is read": at(SINK, "count = 0"),
    "the requests are read": at(SINK, "self._append(ledger, cursor, mine"),
    "earlier requests are read": at(SINK, "def begin(second: float) -> bool:"),
    "the file is locked": at(RETESTS, "standing = known.holds("),
    "the file is read": at(RETESTS, "second = promise("),
    "the second is known": at(RETESTS, "merged = merge("),
    "the requests are merged": at(RETESTS, "new = _write(target, dump(merged)"),
    "what a killed writer left is tidied": at(FILES, "descriptor = os.open(new, "),
    "the new file is made": at(FILES, "with os.fdopen(descriptor"),
    "the new file is half written": at(FILES, "stream.flush()"),
    "the new file is written": at(FILES, "_permit(stream.fileno(), "),
    "the new file has its permissions": at(FILES, "os.fsync(stream.fileno())"),
    "the new file is whole": at(RETESTS, "is_ready = ready(second)"),
    "that it is, is about to be noted": Point(COMMIT, Place(RETESTS, "is_ready = ready(second)")),
    "that it is, is noted": Point(COMMITTED, Place(RETESTS, "is_ready = ready(second)")),
    "the new file is about to take its place": Point(REPLACED),
    "the new file has taken its place": Point(Place(RETESTS, "files.sync(folder)"), REPLACED),
    "the file is unlocked": at(SINK, "cursor = Cursor("),
    "the cursor is about to be committed": Point(COMMIT, Place(SINK, "cursor = Cursor(")),
    "the cursor has moved": Point(COMMITTED, Place(SINK, "cursor = Cursor(")),
}

BEGUN, ENDED = Place(ONE_BY_ONE, "ledger.set_cursor(begun)"), Place(ONE_BY_ONE, "set_cursor(after)")

# The same, where a request is on its way from the log to a program.
ON_THE_WAY_TO_A_PROGRAM = {
    "the sink is to begin": at(ONE_BY_ONE, "with ledger.lease(lease_name(self.name))"),
    "the sink's lease is held": at(ONE_BY_ONE, "if not held or is_paused("),
    "the cursor is read": at(ONE_BY_ONE, "count = self._try_again("),
    "the request is read": at(ONE_BY_ONE, "mine = self._narrowed(request)"),
    "the request is narrowed": at(ONE_BY_ONE, "again = cursor.begun == request.number"),
    "that it is begun is about to be committed": Point(COMMIT, BEGUN),
    "that it is begun is committed": Point(COMMITTED, BEGUN),
    "the request is about to be given": at(COMMAND, "ended = program.run("),
    "the program is about to be started": at(PROGRAM, "process = subprocess.Popen("),
    "the program is at work": at(PROGRAM, "with _Running(process"),
    "the program is served": at(PROGRAM, "cut = running.attend("),
    "the program has ended": at(PROGRAM, "running.read_rest()"),
    "its exit code is to be known": at(PROGRAM, "return Ended(running.code()"),
    "its exit code is known": at(COMMAND, "said = _last_line("),
    "it has confirmed": at(ONE_BY_ONE, "return self._end(ledger, request, self._handed("),
    "the story is about to be told": at(ONE_BY_ONE, "ledger.tell(request.mail_id, [event])"),
    "the story is told": Point(ENDED),
    "story and cursor are about to be committed": Point(COMMIT, ENDED),
    "story and cursor are committed": Point(COMMITTED, ENDED),
    "the next is to be read": Point(Place(ONE_BY_ONE, "mine = self._narrowed(request)"), ENDED),
}


@pytest.fixture(scope="module")
def labs_of_kind() -> Iterator[Callable[[str], Labs]]:
    with labs_of("patch", "series") as made:
        yield made


@pytest.fixture
def labs(labs_of_kind: Callable[[str], Labs], request: pytest.FixtureRequest) -> Labs:
    """Of a kind of ledger, a file if none is said."""
    return labs_of_kind(getattr(request, "param", "sqlite"))


# The tables


def recorded_once(labs: Labs, die: Point) -> None:
    """A pipe that is killed at a point leaves a mail that comes again as one that came once."""
    expected = labs.undisturbed(labs.empty, lambda lab: lab.pipe(FIRST))
    lab = labs.empty()
    assert lab.pipe(FIRST, die=die).killed
    assert lab.pipe(FIRST).code == 0
    assert lab.result() == expected
    assert expected.mails[IDS[0]] == [("done", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_THE_PIPE)
def test_killed_in_the_pipe_a_mail_that_is_delivered_again_is_recorded_once(
    labs: Labs, name: str
) -> None:
    recorded_once(labs, IN_THE_PIPE[name])


@pytest.mark.slow
@pytest.mark.parametrize("labs", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", IN_A_PIPE_WITH_A_SPOOL)
def test_killed_in_a_pipe_with_a_spool_a_mail_that_is_delivered_again_is_recorded_once(
    labs: Labs, name: str
) -> None:
    recorded_once(labs, IN_A_PIPE_WITH_A_SPOOL[name])


def ended_by_the_next(
    labs: Labs, make: Callable[[], Lab], die: Point, last: tuple[str, int]
) -> None:
    """The worker that comes after one that died ends each mail once; ``last``: the last of them."""
    expected = labs.undisturbed(make, Lab.work)
    lab = make()
    assert lab.work(die=die).killed
    assert lab.work().code == 0
    assert lab.result() == expected
    outcomes = [expected.mails[id] for id in IDS]
    assert outcomes == [[("done", 1)], [("done", 1)], [("ignored", 0)], [last]]


@pytest.mark.parametrize(("labs", "name"), over_both(IN_THE_WORKER), indirect=["labs"])
def test_killed_in_the_worker_the_next_one_ends_what_was_begun(labs: Labs, name: str) -> None:
    ended_by_the_next(labs, labs.with_queue, IN_THE_WORKER[name], ("queued", 0))


@pytest.mark.parametrize("name", TOGETHER)
def test_killed_with_several_mails_in_hand_the_next_worker_ends_each_of_them_once(
    labs: Labs, name: str
) -> None:
    ended_by_the_next(labs, labs.with_several, TOGETHER[name], ("done", 1))


@pytest.mark.parametrize(("labs", "name"), over_both(IN_THE_SINK), indirect=["labs"])
def test_killed_in_the_sink_the_document_is_whole_at_once_and_complete_after_a_restart(
    labs: Labs, name: str
) -> None:
    expected = labs.undisturbed(labs.with_requests, Lab.work)
    lab = labs.with_requests()
    assert lab.work(die=IN_THE_SINK[name]).killed
    seen = lab.retests.read_text()
    assert unstamped(seen) in (unstamped(STANDING), expected.document)
    assert lab.work().code == 0
    assert lab.result() == expected
    if seen != STANDING:
        assert lab.retests.read_text() == seen, "what is written once more has the same second"
    assert contexts(expected.document) == {"old", "x", *NEW}


@pytest.mark.parametrize(("labs", "name"), over_both(IN_THE_SINK), indirect=["labs"])
def test_killed_in_the_sink_a_consumer_gets_each_request_once(labs: Labs, name: str) -> None:
    lab = labs.with_requests()
    assert lab.work(die=IN_THE_SINK[name]).killed
    first = lab.take()
    assert lab.work().code == 0
    second = lab.take()
    assert first | second == {"old", "x", *NEW}
    assert first & second == set()


@pytest.mark.parametrize(("labs", "name"), over_both(ON_THE_WAY_TO_A_PROGRAM), indirect=["labs"])
def test_killed_at_a_program_each_request_comes_at_least_once_and_again_only_as_such(
    labs: Labs, name: str
) -> None:
    lab = labs.with_requests()
    script, told = lab.folder / "script", lab.folder / "told"
    script.write_text(f'echo "$RECHECK_ID $RECHECK_AGAIN" >> {told}\n')
    program = {
        "RECHECK_INGEST_COMMAND_LAB_PROGRAM": f"sh {script}",
        "RECHECK_INGEST_POLICY_MAX_AGE": "0",  # the mails are old
    }
    lab.begin("command:lab")
    point = ON_THE_WAY_TO_A_PROGRAM[name]
    assert lab.run("work", "--once", environment=program, die=point).killed
    assert lab.run("work", "--once", environment=program).code == 0
    # What we left at work when we were killed ends by itself.
    eventually(lambda: len(set(map(first_word, told.read_text().splitlines()))) == 2)
    came: dict[str, set[str]] = {}
    for line in told.read_text().splitlines():
        id, again = line.split()
        assert again not in came.setdefault(id, set()), f"{id} came twice as one that does not"
        came[id].add(again)
    print(f"{name}: {sum(map(len, came.values())) - 2} twice")
    result = lab.result()
    assert ("command:lab", 2, 0) in result.cursors
    assert lab.handed_over() == [1, 1], "and the stories tell of one"


@pytest.mark.parametrize(
    "points",
    [
        IN_THE_PIPE,
        IN_A_PIPE_WITH_A_SPOOL,
        IN_THE_WORKER,
        TOGETHER,
        IN_THE_SINK,
        ON_THE_WAY_TO_A_PROGRAM,
    ],
)
def test_the_tables_have_points_enough(points: dict[str, Point]) -> None:
    assert len(set(points.values())) >= 12


def first_word(line: str) -> str:
    return line.partition(" ")[0]


# Every line


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("labs", KINDS, indirect=True)
def test_killed_before_any_line_of_the_pipe_the_mail_is_recorded_once(labs: Labs) -> None:
    start = Place(PIPE, "size = settings.intake.max_size")
    expected = labs.undisturbed(labs.empty, lambda lab: lab.pipe(FIRST))
    total = labs.empty().pipe(FIRST, count_from=start).lines
    deaths = 0
    for line in (tried := samples(total, labs)):
        lab = labs.empty()
        deaths += lab.pipe(FIRST, die=line, count_from=start).killed
        assert lab.pipe(FIRST).code == 0, f"line {line}"
        assert lab.result() == expected, f"line {line}"
    print(f"killed before {deaths} of {total} lines of the pipe")
    assert deaths >= len(tried) * 9 // 10


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("labs", KINDS, indirect=True)
def test_killed_before_any_line_of_the_worker_a_consumer_gets_each_request_once(
    labs: Labs,
) -> None:
    """Several mails, and a consumer that takes the file between the crash and the restart."""
    start = Place(WORKER, "self._ledger.recover(")
    expected = labs.undisturbed(labs.with_queue, Lab.work)
    total = labs.with_queue().work(count_from=start).lines
    deaths = 0
    for line in (tried := samples(total, labs)):
        lab = labs.with_queue()
        deaths += lab.work(die=line, count_from=start).killed
        first = lab.take()
        assert lab.work().code == 0, f"line {line}"
        second = lab.take()
        assert first | second == {"old", "x", *NEW}, f"line {line}"
        assert first & second == set(), f"line {line}"
        result = lab.result()
        assert (result.mails, result.requests) == (expected.mails, expected.requests), line
    print(f"killed before {deaths} of {total} lines of the worker")
    assert deaths >= len(tried) * 9 // 10
