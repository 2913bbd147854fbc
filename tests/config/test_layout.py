# SPDX-License-Identifier: BSD-3-Clause
"""How tables are declared, and where each stands."""

from collections.abc import Mapping
from dataclasses import field, fields

from ingest.config import values
from ingest.config.layout import layout, named, setting, settings_of, subtable
from ingest.value import Value


class Server(Value):
    url: str = setting(values.url, "http://a.example.org", "where it is")
    timeout: float = setting(values.positive, 10.0, "seconds")


class Mirror(Server):
    of: str = setting(values.text, "", "of which server")


class Policy(Value):
    server: Server = field(default_factory=Server)
    mirror: Mapping[str, Mirror] = named(Mirror)


class Root(Value):
    policy: Policy = field(default_factory=Policy)
    mirrors: Mapping[str, Mirror] = named(Mirror, at="mirror")
    origin: str = ""


def test_each_table_stands_at_its_place_in_the_order_of_declaration() -> None:
    found = layout(Root)
    assert found.plain == {("policy",): Policy, ("policy", "server"): Server}
    assert found.named == {("policy", "mirror"): Mirror, ("mirror",): Mirror}


def test_a_table_is_written_with_dots_and_a_name_where_it_has_one() -> None:
    assert layout(Root).tables() == {
        "policy": Policy,
        "policy.server": Server,
        "policy.mirror.NAME": Mirror,
        "mirror.NAME": Mirror,
    }


def test_a_table_has_the_settings_of_the_one_it_is_made_from_before_its_own() -> None:
    assert list(settings_of(Mirror)) == ["url", "timeout", "of"]


def test_what_is_no_setting_is_not_among_the_settings() -> None:
    assert settings_of(Root) == {}


def test_only_a_plain_table_is_a_subtable() -> None:
    assert [subtable(each) for each in fields(Root)] == [Policy, None, None]
