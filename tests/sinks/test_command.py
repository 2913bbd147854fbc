# SPDX-License-Identifier: BSD-3-Clause
"""The sink that runs a program: real ones, of every kind of conduct."""

import json
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings

from ingest.config import sink_tables
from ingest.config.tables import Settings
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Ledger, Request
from ingest.mail.trust import Trust
from ingest.sinks import Given
from ingest.sinks.command import Command, inherited, variables
from ingest.sinks.request_json import shape
from tests.sinks.test_request_json import REQUESTS
from tests.support.bad_server import MEGABYTE
from tests.support.clock import Clock
from tests.support.handing_over import Giving
from tests.support.retest_files import asked

LONG = 60.0
SHORT = 0.5


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def py(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def give(
    program: tuple[str, ...],
    request: Request | None = None,
    *,
    timeout: float = LONG,
    again: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> str:
    command = Command(
        "lab", sink_tables.CommandSettings(program=program, timeout=timeout), Settings()
    )
    answer = command.give(request or asked(), again=again, stop=stop)
    assert isinstance(answer, str)
    return answer


def refusal(program: tuple[str, ...]) -> str:
    with pytest.raises(NotTaken) as raised:
        give(program)
    return str(raised.value)


def trouble(
    program: tuple[str, ...],
    *,
    timeout: float = LONG,
    stop: Callable[[], bool] = lambda: False,
) -> str:
    with pytest.raises(SinkUnavailable) as raised:
        give(program, timeout=timeout, stop=stop)
    return str(raised.value)


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended and is not waited for is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that was killed is given time to."""
    until = time.monotonic() + LONG
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_alive(pid)


@contextmanager
def ended_at_last(file: Path) -> Iterator[None]:
    """A process that writes its number into a file is no burden to the machine afterwards, nor
    are those of its group."""
    try:
        yield
    finally:
        for line in file.read_text().split():
            while is_alive(int(line)):
                # It may end, or begin a group of its own, at any moment.
                with suppress(ProcessLookupError):
                    os.killpg(os.getpgid(int(line)), signal.SIGKILL)
                time.sleep(0.01)


# What it gets.

ALL = asked(
    7,
    contexts=("iol-a", "iol-b"),
    arguments={"rebase": "main", "with-dpdk": "v24"},
    leftovers=(".11", "x y"),
    requester="Robin Reviewer <robin@example.org>",
    subject="Re: [PATCH] a: fix it",
    trust=Trust("list", ""),
)
VARIABLES = {
    "RECHECK_NUMBER": "7",
    "RECHECK_ID": "recheck-00000000000000000000000000000007",
    "RECHECK_MESSAGE_ID": "7@example.org",
    "RECHECK_SERIES": "29430",
    "RECHECK_REVISION": "",
    "RECHECK_SERVER": "",
    "RECHECK_REASON": "",
    "RECHECK_SUBMISSION": "patch 131182",
    "RECHECK_PROJECT": "ci",
    "RECHECK_CONTEXTS": "iol-a,iol-b",
    "RECHECK_ARGUMENTS": "rebase=main,with-dpdk=v24",
    "RECHECK_ARGUMENT_REBASE": "main",
    "RECHECK_ARGUMENT_WITH_DPDK": "v24",
    "RECHECK_LEFTOVERS": ".11,x y",
    "RECHECK_REQUESTER": "Robin Reviewer <robin@example.org>",
    "RECHECK_PASSAGE": "list",
    "RECHECK_PROOF": "",
    "RECHECK_SUBJECT": "Re: [PATCH] a: fix it",
    "RECHECK_DATE": "2023-09-06T11:33:27Z",
    "RECHECK_RECORDED": "2023-09-06T14:20:00Z",
    "RECHECK_AGAIN": "0",
}


def test_a_program_gets_the_request_as_json_and_in_variables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import json, os, sys; "
        f"json.dump([sys.stdin.read(), dict(os.environ)], open({str(out)!r}, 'w'))"
    )
    assert give(py(script), ALL) == "exit code 0"
    content, environment = json.loads(out.read_text())
    assert content.endswith("\n")
    assert json.loads(content) == shape(ALL, Settings())
    assert {k: v for k, v in environment.items() if k.startswith("RECHECK_")} == VARIABLES
    assert environment["PATH"] == os.environ["PATH"]


def test_a_shell_sees_the_variables() -> None:
    line = 'echo "$RECHECK_SERIES|$RECHECK_CONTEXTS|$RECHECK_ARGUMENT_REBASE|$RECHECK_AGAIN"'
    assert give(sh(line), ALL, again=True) == "exit code 0: 29430|iol-a,iol-b|main|1"


def test_no_shell_reads_the_program_s_arguments() -> None:
    assert give(("echo", "$HOME; false `id` *")) == "exit code 0: $HOME; false `id` *"


def test_a_program_gets_no_descriptor_of_ours() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        counted = give(py("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"))
    finally:
        os.close(reading)
        os.close(writing)
    assert counted == "exit code 0: [0, 1, 2]"


def test_a_program_is_in_a_session_of_its_own_and_hears_of_broken_pipes() -> None:
    told = "import os, signal; print(os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGPIPE))"
    # Python ignores SIGPIPE by itself, so that a shell is asked for the other half.
    assert give(py(told)).startswith("exit code 0: True")
    assert refusal(sh("kill -PIPE $$")) == "sh was ended by SIGPIPE"


@pytest.mark.parametrize(
    ("name", "passed_on"),
    [
        ("PATH", True),
        ("RECHECK_INGEST_STATE_DIR", True),
        ("RECHECK_SERIES", False),
        ("RECHECK_ARGUMENT_OLD", False),
        ("NOTIFY_SOCKET", False),
        ("WATCHDOG_USEC", False),
        ("LISTEN_FDS", False),
    ],
)
def test_of_our_environment_what_is_ours_alone_is_kept_back(name: str, passed_on: bool) -> None:
    assert inherited({name.encode(): b"\xff"}) == ({name.encode(): b"\xff"} if passed_on else {})


HOSTILE = {
    "a NUL": ("a\0b", "a b"),
    "lines": ("a\nRECHECK_SERIES=1\rb\x85c\u2028d", "a RECHECK_SERIES=1 b c d"),
    "escapes": ("\x1b[2J\x07a\x9b", " [2J a "),
    "a lone surrogate": ("a\udcffb", "a\N{REPLACEMENT CHARACTER}b"),
    "another direction": ("a\u202eb", "a b"),
    "a shell's": ("() { :;}; id $(id) `id` \\' \"", "() { :;}; id $(id) `id` \\' \""),
    "another script": ("Überprüfung 検 🙂", "Überprüfung 検 🙂"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("subject", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_subject_is_one_printable_line(subject: str, told: str) -> None:
    script = (
        "import os, sys; sys.stdout.buffer.write(ascii(os.environ['RECHECK_SUBJECT']).encode())"
    )
    assert give(py(script), asked(subject=subject)) == f"exit code 0: {told!a}"


@given(REQUESTS)
@pytest.mark.slow
def test_any_request_fits_into_an_environment(request: Request) -> None:
    told = variables(shape(request, Settings()), again=False)
    assert all(b"\0" not in each and b"=" not in each for each in told)
    assert all(value.decode().isprintable() for value in told.values())
    assert sum(map(len, [*told, *told.values()])) < 600_000


@settings(max_examples=10)
@given(REQUESTS)
def test_a_program_can_be_started_with_any_request(request: Request) -> None:
    assert give(("true",), request) == "exit code 0"


@pytest.mark.slow
def test_what_is_too_long_for_a_variable_is_in_the_json_alone() -> None:
    many = tuple(f"label-{number}" for number in range(100_000))
    arguments = {f"name-{number}": "value" for number in range(100_000)}
    request = asked(contexts=many, arguments=arguments)
    script = (
        "import json, os, sys; told = json.load(sys.stdin); "
        "print(len(told['contexts']), len(told['arguments']), "
        "sorted(name for name in os.environ if name.startswith(('RECHECK_C', 'RECHECK_ARG'))))"
    )
    assert give(py(script), request) == "exit code 0: 100000 100000 []"


def test_of_arguments_that_are_one_variable_the_first_counts() -> None:
    told = variables(
        shape(asked(arguments={"a-b": "1", "A_B": "2", "grün": "3"}), Settings()), again=False
    )
    single = {name: value for name, value in told.items() if name.startswith(b"RECHECK_ARGUMENT_")}
    assert single == {b"RECHECK_ARGUMENT_A_B": b"1"}
    assert told[b"RECHECK_ARGUMENTS"].decode() == "a-b=1,A_B=2,grün=3"


# How it ends.

REFUSALS = {
    "1": (sh("exit 1"), "sh failed, exit code 1"),
    "255": (sh("exit 255"), "sh failed, exit code 255"),
    "a reason": (sh("echo no; echo one >&2; echo two >&2; exit 3"), "sh failed, exit code 3: two"),
    "blank lines": (sh(r"printf 'why\n \n\n' >&2; exit 3"), "sh failed, exit code 3: why"),
    "no line end": (sh("printf why >&2; exit 3"), "sh failed, exit code 3: why"),
    "escapes": (sh(r"printf '\033[31m\0a\377\007' >&2; exit 3"), "sh failed, exit code 3: [31m a�"),
    "a crash": (sh("kill -SEGV $$"), "sh was ended by SIGSEGV"),
    "another's kill": (sh("kill -KILL $$"), "sh was ended by SIGKILL"),
    "another's SIGTERM": (sh("echo why >&2; kill $$"), "sh was ended by SIGTERM: why"),
    "a nameless signal": (sh("kill -40 $$"), "sh was ended by signal 40"),
    "a traceback": (
        py("raise OSError('bad')"), f"{sys.executable} failed, exit code 1: OSError: bad",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("program", "told"), REFUSALS.values(), ids=REFUSALS)
def test_whatever_ends_otherwise_is_not_taken(program: tuple[str, ...], told: str) -> None:
    assert refusal(program) == told


def test_exit_code_75_is_tried_again() -> None:
    assert trouble(sh("echo busy >&2; exit 75")) == "sh is not ready, exit code 75: busy"


def test_the_last_line_that_a_program_prints_is_its_answer() -> None:
    assert give(sh("echo one; echo build 17; echo noise >&2")) == "exit code 0: build 17"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.write_text("#!/bin/sh\n"), "Permission denied"),
        (lambda path: path.mkdir(), "Permission denied"),
        (lambda path: _executable(path, "#!/nowhere/sh\n"), "No such file or directory"),
        (lambda path: _executable(path, "\x7fELF junk"), "Exec format error"),
    ],
    ids=["missing", "not executable", "a folder", "no interpreter", "no program"],
)
def test_what_cannot_be_started_is_tried_again(
    make: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    make(program)
    assert trouble((str(program),)) == f"{program} cannot be started: {told}"
    if program.is_dir():
        program.rmdir()
    _executable(program, "#!/bin/sh\nexit 0\n")
    assert give((str(program),)) == "exit code 0"


def _executable(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o755)


def test_a_process_that_ignores_its_children_s_ends_confirms_nothing() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert "cannot be known" in trouble(("false",))
    finally:
        signal.signal(signal.SIGCHLD, before)


# Conduct that must do us no harm.


def test_a_program_that_reads_nothing_is_not_waited_for() -> None:
    request = asked(leftovers=("x" * MEGABYTE,))
    assert give(("true",), request) == "exit code 0"
    assert give(sh("exec <&-; sleep 0.1"), request) == "exit code 0"


def test_a_program_that_first_writes_and_then_reads_does_not_stop_us() -> None:
    request = asked(leftovers=("x" * MEGABYTE,))
    script = f"import sys; print('y' * {MEGABYTE}, flush=True); print(len(sys.stdin.read()))"
    length = len(json.dumps(shape(request, Settings()))) + 1
    assert give(py(script), request) == f"exit code 0: {length}"


@pytest.mark.slow
def test_gigabytes_of_output_take_no_memory() -> None:
    much = "head -c 1073741824 /dev/zero"
    tracemalloc.start()
    assert give(sh(f"{much} & {much} >&2; wait; echo; echo the end")) == "exit code 0: the end"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEGABYTE


def test_a_program_that_closes_its_output_is_waited_for() -> None:
    assert refusal(sh("exec >&- 2>&-; sleep 0.2; exit 4")) == "sh failed, exit code 4"


@pytest.mark.parametrize(
    "left", ["sleep 600", "yes", "exec setsid yes >&2", "trap '' TERM; sleep 600"]
)
def test_what_a_program_leaves_running_with_its_output_is_not_waited_for(
    left: str, tmp_path: Path
) -> None:
    numbers = tmp_path / "pid"
    script = f"echo started; ({left}) & echo $! > {numbers}"
    with ended_at_last(numbers):
        assert give(sh(script)).startswith("exit code 0")


def test_a_job_that_a_program_leaves_behind_goes_on(tmp_path: Path) -> None:
    numbers = tmp_path / "pid"
    with ended_at_last(numbers):
        give(sh(f"sleep 600 </dev/null >/dev/null 2>&1 & echo $! > {numbers}"))
        assert is_alive(int(numbers.read_text()))


# A time-out.

STUBBORN = {
    "sleep": "sleep 600",
    "work": "while :; do :; done",
    "output without end": "yes",
    "no ear for SIGTERM": "trap '' TERM; echo stubborn >&2; while :; do sleep 0.05; done",
    "output at its end": "trap 'yes' TERM; sleep 600",
}


@pytest.mark.slow
@pytest.mark.parametrize("script", STUBBORN.values(), ids=STUBBORN)
def test_after_its_time_a_program_is_ended_with_all_its_children(
    script: str, tmp_path: Path
) -> None:
    numbers = tmp_path / "pids"
    family = f"({script}) & echo $! >> {numbers}; echo $$ >> {numbers}; {script}"
    told = trouble(sh(family), timeout=SHORT)
    assert told.startswith("sh was ended after 0.5 s")
    pids = [int(line) for line in numbers.read_text().split()]
    assert pids
    assert all(map(is_gone, pids))


@pytest.mark.slow
def test_a_program_that_says_0_when_it_is_ended_has_not_confirmed() -> None:
    assert "was ended after" in trouble(sh("trap 'exit 0' TERM; sleep 600 & wait"), timeout=SHORT)


@pytest.mark.slow
def test_a_program_may_tidy_up_when_it_is_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = f"trap 'rm {lock}; echo tidied >&2; exit 1' TERM; touch {lock}; sleep 600 & wait"
    assert trouble(sh(script), timeout=1.0) == "sh was ended after 1 s: tidied"
    assert not lock.exists()


def test_a_program_ends_when_we_are_to_stop(tmp_path: Path) -> None:
    numbers = tmp_path / "pid"
    script = f"echo $$ > {numbers}.new; mv {numbers}.new {numbers}; sleep 600"
    told = trouble(sh(script), stop=numbers.exists)
    assert told == "sh was ended unfinished: there was no more time"
    assert is_gone(int(numbers.read_text()))


def test_many_at_once_do_not_disturb_each_other() -> None:
    """As several sinks of one process are at work: each knows how its own program ended."""
    told: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(10):
            try:
                told[number] = give(sh(f"exit {number}"))
            except NotTaken as error:
                told[number] = str(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert told == {
        0: "exit code 0",
        **{number: f"sh failed, exit code {number}" for number in range(1, 6)},
    }


def test_nothing_is_left_open() -> None:
    def opened() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    give(("true",))
    before = opened()
    give(sh("cat >/dev/null; echo; echo >&2"))
    refusal(("false",))
    trouble(("/nowhere",))
    trouble(sh("sleep 600"), timeout=0.05)
    assert opened() == before


# Its output as results.

TWO = asked(contexts=("iol-a", "iol-b"))


def gives(script: str, request: Request = TWO) -> Given:
    table = sink_tables.CommandSettings(program=sh(script), timeout=LONG, results=True)
    answer = Command("lab", table, Settings()).give(request, again=False, stop=lambda: False)
    assert isinstance(answer, Given)
    return answer


def test_a_program_tells_results_on_its_standard_output() -> None:
    line = '{"label": "iol-a", "state": "success", "summary": "12 of 12", "url": "https://l.org/1"}'
    got = gives(f"echo '{line}'")
    [result] = got.results
    assert (result.label, result.state, result.author) == ("iol-a", "success", "command:lab")
    assert (result.summary, result.url) == ("12 of 12", "https://l.org/1")
    assert got.answer == "exit code 0, results: iol-a success"


def test_what_is_not_a_result_is_told_and_ignored() -> None:
    got = gives("""echo starting; echo '{"label": "iol-c", "state": "fail"}'""")
    assert got.results == ()
    assert got.answer == (
        "exit code 0, ignored: 'starting' is not JSON; request 1 asks for iol-a, iol-b, "
        "not for iol-c (did you mean iol-b?)"
    )


def test_of_a_long_output_the_beginning_counts_and_the_rest_is_told() -> None:
    line = '{"label": "iol-a", "state": "success"}'
    got = gives(f"""echo '{line}'; yes '{{"label": "iol-b", "state": "fail"}}' | head -c 2000000""")
    assert [(each.label, each.state) for each in got.results] == [
        ("iol-a", "success"),
        ("iol-b", "fail"),
    ]
    assert "it wrote more than 65536 bytes" in got.answer


def test_only_what_ends_well_is_believed() -> None:
    with pytest.raises(NotTaken):
        gives("""echo '{"label": "iol-a", "state": "success"}'; exit 1""")


def test_the_results_of_a_program_are_in_the_ledger_at_once(ledger: Ledger, clock: Clock) -> None:
    line = '{"label": "iol-a", "state": "fail", "summary": "3 of 12 failed"}'
    table = sink_tables.CommandSettings(program=sh(f"echo '{line}'"), results=True)
    giving = Giving(ledger, clock, Command("lab", table, Settings()), table)
    giving.records(asked(1, contexts=("iol-a", "iol-b")))
    giving.works()
    assert [(each.label, each.state, each.summary) for each in ledger.results.of([1])] == [
        ("iol-a", "fail", "3 of 12 failed"),
        ("iol-b", "handed over", ""),
    ]
