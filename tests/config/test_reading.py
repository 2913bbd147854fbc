# SPDX-License-Identifier: BSD-3-Clause
"""Tables of any shape are read alike: plain ones, named ones, tables in tables, and a name beside
the settings of a plain table."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import pytest

from ingest.config import values
from ingest.config.layout import layout, named, setting
from ingest.config.reading import read, variables
from ingest.errors import ConfigError
from ingest.value import Value


class Server(Value):
    url: str = setting(values.url, "http://a.example.org", "where it is")
    secret_file: str = setting(values.text, "", "its secret")
    file: str = setting(values.text, "", "what it writes")


class Group(Value):
    members: tuple[str, ...] = setting(values.texts, (), "who is in it", needed=True)


class Policy(Value):
    max_age: float = setting(values.number, 7.0, "days")
    group: Mapping[str, Group] = named(Group)


class Root(Value):
    server: Server = field(default_factory=Server)
    servers: Mapping[str, Server] = named(Server, at="server")
    policy: Policy = field(default_factory=Policy)
    hook: Mapping[str, Server] = named(Server)
    origin: str = ""


def made(
    document: Mapping[str, Any] = {},
    **variables: str,
) -> Root:
    environment = {f"RECHECK_INGEST_{name}": value for name, value in variables.items()}
    return read(Root, document, origin="file", environment=environment, flags={})[0]


def refused(document: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        made(document)
    return str(raised.value)


def test_without_anything_all_is_as_declared() -> None:
    assert made() == Root()


def test_tables_are_listed_as_they_are_written() -> None:
    assert list(layout(Root).tables()) == [
        *("server", "policy", "server.NAME", "policy.group.NAME", "hook.NAME"),
    ]


def test_a_named_table_may_stand_in_a_table() -> None:
    root = made({"policy": {"max_age": 1, "group": {"testers": {"members": ["a"]}}}})
    assert root.policy == Policy(1.0, {"testers": Group(("a",))})


def test_named_tables_may_stand_beside_the_settings_of_a_plain_one() -> None:
    root = made({"server": {"file": "/a", "b-1": {"file": "/b"}}}, SERVER_FILE="/c")
    assert root.server == Server(file="/c")
    assert root.servers == {"b-1": Server(file="/b")}


def test_the_environment_reaches_every_table() -> None:
    root = made(
        HOOK_MY_LAB_SECRET_FILE="/s", POLICY_GROUP_ALL_MEMBERS="a,b", SERVER_B_URL="http://b"
    )
    assert root.hook == {"my-lab": Server(secret_file="/s")}
    assert root.policy.group == {"all": Group(("a", "b"))}
    assert root.servers == {"b": Server(url="http://b")}


@pytest.mark.parametrize("name", ["HOOK__FILE", "HOOK_FILE", "HOOK_É_FILE", "POLICY_GROUP_X"])
def test_a_variable_without_a_valid_name_stands_for_no_setting(name: str) -> None:
    assert list(variables(layout(Root), {f"RECHECK_INGEST_{name}": "x"})) == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a group without a name": (
        {"policy": {"group": {"members": ["a"]}}},
        "file: a policy.group has a name: write [policy.group.NAME]",
    ),
    "a group that is a text": (
        {"policy": {"group": "x"}},
        "file: a policy.group has a name: write [policy.group.NAME]",
    ),
    "a group without what it needs": (
        {"policy": {"group": {"x": {}}}},
        "[policy.group.x] needs members",
    ),
    "a setting of another table": (
        {"policy": {"group": {"x": {"url": "http://x"}}}},
        "file: [policy.group.x] has no setting 'url'; it has members",
    ),
    "a table in a table that has none": (
        {"policy": {"groups": {}}},
        "file: [policy] has no setting 'groups'; it has max_age",
    ),
    "a name in capitals": (
        {"server": {"B": {}}},
        "file: [server.B]: a name is made of the letters a to z, digits, and single hyphens",
    ),
}


@pytest.mark.parametrize(("document", "told"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_by_its_place(document: dict[str, Any], told: str) -> None:
    assert refused(document) == told


SECRETS = {
    "ftp://robin:hunter2@example.org/": "'ftp://…'",
    "http://robin:hun/ter2@example.org": "'http://…'",
    "https:/robin:hunter2@example.org/": "'…'",
    "ftp://example.org/services/hunter2": "'ftp://example.org…'",
    "example.org/services/hunter2": "'example.org…'",
    "example.org?key=hunter2": "'example.org…'",
    "http://a:b": "'http://a:b'",
    "example.org": "'example.org'",
}


@pytest.mark.parametrize(("url", "shown"), SECRETS.items())
def test_no_secret_of_a_url_stands_in_an_error(url: str, shown: str) -> None:
    told = refused({"hook": {"a": {"url": url}}})
    assert told == f"file: [hook.a] url is {shown}, but must be a URL like https://patches.dpdk.org"


@pytest.mark.parametrize("place", [{"policy": {"max_age": ...}}, {"server": ...}])
def test_no_secret_of_a_url_in_a_wrong_place_stands_in_an_error(place: dict[str, Any]) -> None:
    url = "postgresql://robin:hunter2@example.org/ledger"
    ((table, content),) = place.items()
    told = refused({table: url if content is ... else dict.fromkeys(content, url)})
    assert "'postgresql://…'" in told
    assert "hunter2" not in told
