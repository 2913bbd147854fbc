# SPDX-License-Identifier: BSD-3-Clause
"""Tables of settings are values, and behave as the frozen dataclasses that they are declared as."""

import copy
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, field, fields, replace

import pytest

from ingest.config import values
from ingest.config.layout import Table, layout, named, setting, settings_of


class Server(Table):
    """One that is plain."""

    url: str = setting(values.url, "http://a.example.org", "where it is")
    timeout: float = setting(values.positive, 10.0, "seconds")


class Mirror(Server):
    """One that has more than another."""

    of: str = setting(values.text, "", "of which server")


class Root(Table):
    """The outermost."""

    server: Server = field(default_factory=Server)
    mirror: Mapping[str, Mirror] = named(Mirror)


def test_what_is_not_given_is_as_declared() -> None:
    assert Mirror("http://b.example.org", of="a") == Mirror("http://b.example.org", 10.0, "a")
    assert Root() == Root(Server(), {})
    assert Root().mirror is not Root().mirror


def test_tables_are_equal_if_they_are_of_one_kind_and_hold_the_same() -> None:
    assert Server() == Server()
    assert hash(Server()) == hash(Server())
    assert Server() != Server(timeout=1.0)
    assert Server() != Mirror()
    assert len({Server(), Server(), Server(timeout=1.0)}) == 2


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_is_equal(copied: Callable[[Server], Server]) -> None:
    assert copied(Server(timeout=1.0)) == Server(timeout=1.0)


def test_a_table_is_replaced_and_never_changed() -> None:
    server = Server()
    assert replace(server, timeout=1.0) == Server(timeout=1.0)
    with pytest.raises(FrozenInstanceError, match="timeout"):
        server.timeout = 1.0  # type: ignore[misc]
    assert server == Server()


def test_what_was_not_declared_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Server(colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Server"):
        Server("http://a.example.org", 1.0, 2.0)  # type: ignore[call-arg]


def test_a_table_shows_what_it_holds() -> None:
    assert repr(Server(timeout=1.0)) == "Server(url='http://a.example.org', timeout=1.0)"


def test_the_layout_tells_where_each_table_stands() -> None:
    assert layout(Root).tables() == {"server": Server, "mirror.NAME": Mirror}
    assert list(settings_of(Mirror)) == ["url", "timeout", "of"]
    assert [each.name for each in fields(Root)] == ["server", "mirror"]
