# SPDX-License-Identifier: BSD-3-Clause
"""One run of another program, which ends, whatever that program does."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from ingest.sinks.program import Cut, Ended, run

LONG = 20.0


def ran(code: str, content: bytes = b"", seconds: float = LONG, **environment: str) -> Ended:
    """A run of some Python."""
    handed = {key.encode(): value.encode() for key, value in environment.items()}
    program = [sys.executable, "-IS", "-c", code]
    return run(program, content, handed, seconds=seconds, stop=lambda: False)


def test_it_is_given_its_input_and_its_output_is_kept() -> None:
    ended = ran("import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.exit(3)", b"abc")
    assert ended == Ended(3, b"cba", b"", Cut.NOT)


def test_of_much_output_the_end_is_kept() -> None:
    ended = ran("import sys; sys.stderr.write('x' * 1_000_000 + 'the end')")
    assert (ended.code, len(ended.err), ended.err[-8:]) == (0, 4096, b"xthe end")


def test_it_need_not_read_its_input() -> None:
    assert ran("pass", b"x" * 10_000_000) == Ended(0, b"", b"", Cut.NOT)


def test_its_environment_is_what_it_is_given_and_no_more() -> None:
    ended = ran("import os; print(sorted({*os.environ} - {'LC_CTYPE'}))", LABEL="unit")
    assert ended.out == b"['LABEL']\n"


def test_it_has_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ended = ran(f"import os; os.fstat({file.fileno()})")
    assert ended.code == 1
    assert b"Bad file descriptor" in ended.err


def test_a_signal_that_ends_it_is_its_code() -> None:
    ended = ran("import os; os.kill(os.getpid(), 9)")
    assert (ended.code, ended.cut) == (-signal.SIGKILL, Cut.NOT)


def test_after_its_time_it_is_told_to_end() -> None:
    ended = ran("import time; time.sleep(60)", seconds=0.05)
    assert (ended.code, ended.cut) == (-signal.SIGTERM, Cut.TIMED_OUT)


def test_when_we_are_to_stop_it_is_told_to_end(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import time; open({str(started)!r}, 'w'); time.sleep(60)"
    program = [sys.executable, "-IS", "-c", code]
    ended = run(program, b"", {}, seconds=LONG, stop=started.exists)
    assert (ended.code, ended.cut) == (-signal.SIGTERM, Cut.STOPPED)


@pytest.mark.slow
def test_who_ignores_that_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    open({str(child)!r}, "w").write(str(os.getpid()))
time.sleep(60)
"""
    ended = ran(code, seconds=0.3)
    assert (ended.code, ended.cut) == (-signal.SIGKILL, Cut.TIMED_OUT)
    assert is_gone(int(child.read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process has ended, for which a moment is waited."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_child_that_it_leaves_behind_is_not_waited_for() -> None:
    code = "import os, time\nif not os.fork(): time.sleep(5)\nelse: print('done', flush=True)"
    assert ran(code) == Ended(0, b"done\n", b"", Cut.NOT)


def test_what_cannot_be_started_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        run([str(tmp_path / "none")], b"", {}, seconds=LONG, stop=lambda: False)
