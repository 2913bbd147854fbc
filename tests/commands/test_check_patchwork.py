# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` finds about several Patchwork servers."""

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.commands import check_patchwork
from ingest.config import sink_tables, tables
from ingest.sandbox import Sandbox

LISTS = ("other.example.org",)


def settings_of(url: str, **other: object) -> tables.Settings:
    servers = {"fdo": tables.ServerSettings(url, lists=LISTS, timeout=2.0)}
    settings = tables.Settings(tables.PatchworkSettings(url), servers=servers)
    return replace(settings, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sinks", "is_told"),
    [
        ({}, True),
        ({"json_file": {"x": sink_tables.JsonFileSettings(file="/x")}}, True),
        ({"json_file": {"x": sink_tables.JsonFileSettings(file="/x", patchwork="fdo")}}, False),
        ({"retests": tables.RetestsSettings(patchwork="fdo")}, False),
        ({"command": {"x": sink_tables.CommandSettings(program=("true",))}}, False),
    ],
    ids=["no sink", "another server's", "a file", "the retest JSON", "a program"],
)
def test_a_server_whose_requests_nobody_is_handed_is_told(
    sinks: dict[str, object], is_told: bool
) -> None:
    with Sandbox() as box:
        found = list(check_patchwork.findings(settings_of(box.url, **sinks)))
    told = [each.text for each in found if each.what == "patchwork.fdo"]
    assert bool(told) == is_told
    assert all("[json_file.NAME]" in each for each in told)


def test_each_server_is_looked_at_by_itself() -> None:
    with Sandbox() as box, Sandbox(kind="freedesktop") as fork:
        settings = settings_of(fork.url, patchwork=tables.PatchworkSettings(box.url))
        found = list(check_patchwork.findings(settings))
        fork.stop()
        down = list(check_patchwork.findings(settings))
    told = {each.what: each.text for each in found}
    assert told["API"] == "version 1.4, filters by Message-ID"
    assert told["API (fdo)"] == "that of freedesktop's fork, with revisions of series"
    assert [each.what for each in down if each.is_down] == ["patchwork (fdo)"]
    assert "API" in [each.what for each in down if each.level == "ok"]


def test_xml_rpc_without_its_package_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with Sandbox(api="1.1") as box:
        table = tables.PatchworkSettings(box.url, xmlrpc=True)
        found = list(check_patchwork.findings(tables.Settings(table)))
    assert [each.text for each in found if each.level == "problem"] == [
        "[patchwork] xmlrpc needs the package defusedxml: install recheck-ingest[xmlrpc]"
    ]


def test_a_project_that_the_server_does_not_have_is_a_problem() -> None:
    with Sandbox() as box:
        servers = {"x": tables.ServerSettings(box.url, projects=("dpdkk",))}
        settings = tables.Settings(tables.PatchworkSettings(box.url), servers=servers)
        found = list(check_patchwork.findings(settings))
    assert [(each.what, each.text) for each in found if each.level == "problem"] == [
        (
            "projects (x)",
            "there is no project dpdkk (did you mean dpdk?), which its table names",
        )
    ]
