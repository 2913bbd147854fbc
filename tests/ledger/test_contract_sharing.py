# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does when several processes or threads share it, and in a batch."""

import signal
import threading
from contextlib import closing

import pytest

from ingest.errors import ConfigError, StateUnavailable
from ingest.ledger import WORKER_LEASE, Cursor, Ledger, Outcome, open_ledger
from tests.support import ledger_processes
from tests.support.ledger_values import NOON, arrival, claimed, ended, request

# Batches


def test_a_batch_is_seen_by_others_when_it_is_over(url: str, ledger: Ledger) -> None:
    other = open_ledger(url)
    with ledger.batch():
        ledger.accept(arrival("a"))
        ledger.accept(arrival("b"))
        assert other.find("a") == []
        assert len(ledger.find("a")) == 1
    assert len(other.find("a")) == len(other.find("b")) == 1
    other.close()


class Mishap(Exception):
    pass


@pytest.mark.parametrize("mishap", [Mishap(), OSError("a disk of the caller's"), SystemExit()])
def test_a_batch_that_raises_leaves_nothing_and_lets_the_error_through(
    ledger: Ledger, mishap: BaseException
) -> None:
    with pytest.raises(type(mishap)) as caught, ledger.batch():
        ledger.accept(arrival())
        raise mishap
    assert caught.value is mishap
    assert ledger.find("a@example.org") == []
    ledger.accept(arrival())
    assert len(ledger.find("a@example.org")) == 1


def unstorable(ledger: Ledger) -> None:
    ledger.accept(arrival("bad", received=float("nan")))  # what no ledger takes: no time at all


def test_what_fails_in_a_batch_fails_it_even_if_that_is_caught(ledger: Ledger) -> None:
    with pytest.raises(StateUnavailable), ledger.batch():
        ledger.accept(arrival("a"))
        with pytest.raises(StateUnavailable):
            unstorable(ledger)
        with pytest.raises(StateUnavailable):
            ledger.accept(arrival("b"))
    assert ledger.find("a") == ledger.find("b") == []


def test_a_ledger_is_usable_after_an_error(ledger: Ledger) -> None:
    with pytest.raises(StateUnavailable):
        unstorable(ledger)
    assert ledger.accept(arrival())[1]


def test_a_batch_within_a_batch_is_refused(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.batch(), ledger.batch():
        pass
    ledger.accept(arrival())
    assert claimed(ledger).message_id == "a@example.org"


def test_a_mail_can_be_worked_on_in_a_batch(ledger: Ledger) -> None:
    with ledger.batch():
        ledger.accept(arrival())
        mail = claimed(ledger)
        ledger.remember("key", "answer", NOON + 9)
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
        ledger.set_cursor(Cursor("sink", ledger.last_request()))
        assert ledger.totals().requests == 1
    assert ledger.cursor("sink").position == 1


def test_a_batch_ends_with_its_process(url: str, ledger: Ledger) -> None:
    with ledger_processes.other("hold-batch", url) as holder:
        assert ledger_processes.line(holder) == "holding"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert ledger.accept(arrival())[1]
    assert ledger.find("in-a-batch@example.org") == []


# Several at once


def test_the_lease_has_one_holder(url: str, ledger: Ledger) -> None:
    other = open_ledger(url)
    with ledger.lease(WORKER_LEASE) as held, other.lease(WORKER_LEASE) as held_too:
        assert (held, held_too) == (True, False)
    with other.lease(WORKER_LEASE) as held:
        assert held
    other.close()


def test_a_lease_is_waited_for_as_long_as_patience_lasts(url: str, ledger: Ledger) -> None:
    had: list[bool] = []

    def wait(patience: float) -> None:
        with (
            closing(open_ledger(url)) as other,
            other.lease(WORKER_LEASE, patience=patience) as held,
        ):
            had.append(held)

    waiting = threading.Thread(target=wait, args=(60.0,))
    with ledger.lease(WORKER_LEASE):
        wait(0.05)
        waiting.start()
        waiting.join(0.05)
        assert had == [False]
    waiting.join(60)
    assert had == [False, True]


def test_the_lease_ends_with_a_process_that_is_killed(url: str, ledger: Ledger) -> None:
    with ledger_processes.other("hold-lease", url) as holder:
        assert ledger_processes.line(holder) == "True"
        with ledger.lease(WORKER_LEASE) as held:
            assert not held
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    # A server hears of it a moment later; contrib/bench measures that.
    with ledger.lease(WORKER_LEASE, patience=60.0) as held:
        assert held


def test_leases_of_different_names_are_held_by_different_holders(url: str, ledger: Ledger) -> None:
    other = open_ledger(url)
    with ledger.lease("webhook-lab") as held, other.lease("command-lab") as held_too:
        assert held
        assert held_too
        with other.lease("webhook-lab") as third, ledger.lease(WORKER_LEASE) as worker:
            assert not third
            assert worker
    with other.lease("webhook-lab") as held:
        assert held
    other.close()


@pytest.mark.parametrize("mishap", [Mishap(), OSError("a disk of the caller's")])
def test_the_lease_ends_with_an_error_and_lets_it_through(
    ledger: Ledger, mishap: Exception
) -> None:
    with pytest.raises(type(mishap)) as caught, ledger.lease(WORKER_LEASE):
        raise mishap
    assert caught.value is mishap
    with ledger.lease(WORKER_LEASE) as held:
        assert held


@pytest.mark.slow
def test_several_processes_accept_at_once_and_each_mail_once(url: str) -> None:
    """All of them at a ledger that is not there yet."""
    ids = [f"{number}@example.org" for number in range(40)]
    new: list[str] = []
    with (
        ledger_processes.other("accept", url, *ids) as one,
        ledger_processes.other("accept", url, *reversed(ids)) as two,
        ledger_processes.other("accept", url, *ids[20:], *ids[:20]) as three,
        ledger_processes.other("accept", url, *ids[::2], *ids[1::2]) as four,
    ):
        others = (one, two, three, four)
        for process in others:
            assert ledger_processes.line(process) == "ready"
        for process in others:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in others:
            told = [ledger_processes.line(process).split() for _ in ids]
            new += [id for id, was_new in told if was_new == "True"]
            assert process.wait() == 0
    assert sorted(new) == sorted(ids)
    ledger = open_ledger(url)
    assert ledger.totals().mails["queued"] == len(ids)
    ledger.close()


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(30):
                ledger.accept(arrival(f"{name}-{number}"))
                with ledger.batch():
                    ledger.accept(arrival(f"{name}-{number}-b"))
                    ledger.set_cursor(Cursor(name, number))
                ledger.totals()
        except BaseException as error:  # noqa: BLE001  told by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ledger.totals().mails["queued"] == 4 * 60


# Opening


@pytest.mark.parametrize("wrong", ["", "sqlite", "sqlite:", "postgres://x", "/a/path", ":x"])
def test_a_url_of_no_ledger_is_a_configuration_error(wrong: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:/path/to/file"):
        open_ledger(wrong)


def test_opening_again_changes_nothing(url: str, ledger: Ledger) -> None:
    ledger.accept(arrival())
    totals = ledger.totals()
    for _ in range(3):
        again = open_ledger(url)
        assert again.totals() == totals
        again.close()


def test_who_waits_is_woken_by_another_process_unless_it_looks_by_itself(
    url: str, ledger: Ledger
) -> None:
    assert not set(ledger.wait_for(0.01))
    with closing(open_ledger(url)) as other:
        other.wake("mail")
        other.wake("requests")
    found = {*ledger.wait_for(0.2), *ledger.wait_for(0.2)}
    assert found == (set() if url.startswith("sqlite:") else {"mail", "requests"})


def test_nobody_is_woken_for_what_was_told_to_nobody_else(ledger: Ledger) -> None:
    ledger.accept(arrival())
    assert not set(ledger.wait_for(0.05))
