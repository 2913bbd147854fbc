# SPDX-License-Identifier: BSD-3-Clause
"""A value behaves as the frozen dataclass that it is declared as."""

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, asdict, field
from functools import cached_property

import pytest

from ingest.value import Value, replace


class Server(Value):
    url: str
    timeout: float = 10.0


class Mirror(Server):
    of: str = ""


class Noted(Value):
    url: str
    note: str = field(default="", compare=False, repr=False)


class Root(Value):
    server: Server
    named: Mapping[str, Mirror] = field(default_factory=dict)


def test_what_is_not_given_is_as_declared() -> None:
    made = Mirror("a", of="b")
    assert (made.url, made.timeout, made.of) == ("a", 10.0, "b")


def test_what_can_be_changed_is_made_anew_for_each() -> None:
    first, second = Root(Server("a")), Root(Server("a"))
    assert first == second
    assert first.named is not second.named


def test_values_are_equal_if_they_are_of_one_kind_and_hold_the_same() -> None:
    assert Server("a") == Server("a", 10.0)
    assert Server("a") != Server("a", 1.0)
    assert Server("a") != Mirror("a")
    assert Server("a") != "a"
    assert {Server("a"), Server(url="a"), Server("a", 1.0)} == {Server("a"), Server("a", 1.0)}


def test_what_is_declared_so_is_neither_compared_nor_shown() -> None:
    assert Noted("a", note="b") == Noted("a", note="c")
    assert hash(Noted("a", note="b")) == hash(Noted("a"))
    assert Noted("a") != Noted("b")
    assert repr(Noted("a", note="b")) == "Noted(url='a')"


def test_a_value_that_holds_what_can_be_changed_is_in_no_set() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Root(Server("a")))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_is_equal(copied: Callable[[Server], Server]) -> None:
    assert copied(Server("a", 1.0)) == Server("a", 1.0)


def test_a_value_is_replaced_and_never_changed() -> None:
    server = Server("a")
    for change in (replace, dataclasses.replace):
        assert change(server, timeout=1.0) == Server("a", 1.0)
    with pytest.raises(FrozenInstanceError, match="timeout"):
        server.timeout = 1.0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="timeout"):
        del server.timeout
    assert server == Server("a")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        (("a",), {"colour": "red"}),
        ((), {"colour": "red"}),
        (("a", 1.0, 2.0), {}),
        (("a",), {"url": "b"}),
    ],
    ids=["too few", "unknown", "another", "too many", "twice"],
)
def test_what_was_not_declared_so_is_refused(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    make: Callable[..., Server] = Server
    with pytest.raises(TypeError, match="Server is made of url, timeout, not of"):
        make(*values, **named)


def test_nothing_is_replaced_that_was_not_declared() -> None:
    with pytest.raises(TypeError, match="Server has no colour"):
        replace(Server("a"), colour="red")


class Named(Value):
    name: str

    @cached_property
    def called(self) -> str:
        return f"called {self.name}"


def test_what_was_made_of_another_value_is_not_taken_over() -> None:
    named = Named("a")
    assert named.called == "called a"
    assert replace(named, name="b").called == "called b"
    assert replace(named, name="a") == named


def test_a_value_shows_what_it_holds_and_becomes_a_dictionary() -> None:
    root = Root(Server("a"))
    assert repr(root) == "Root(server=Server(url='a', timeout=10.0), named={})"
    assert asdict(root) == {"server": {"url": "a", "timeout": 10.0}, "named": {}}
