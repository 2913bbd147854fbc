# SPDX-License-Identifier: BSD-3-Clause
"""What a Patchwork holds: the values that ``store`` files and ``shapes`` shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ingest.sandbox.parser import Letter

Kind = Literal["patch", "cover"]


@dataclass(frozen=True, slots=True)
class Project:
    """A project: one mailing list."""

    id: int
    name: str
    link_name: str
    list_id: str
    list_email: str


@dataclass(frozen=True, slots=True)
class User:
    """An account: who may write checks, and for which projects (their link names)."""

    id: int
    username: str
    email: str
    maintains: frozenset[str]


@dataclass(frozen=True, slots=True)
class Person:
    """Who sent a mail."""

    id: int
    name: str | None
    email: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A patch or a cover letter; a cover letter has no diff, hash, pull_url and number."""

    id: int
    kind: Kind
    project: Project
    submitter: int  # the person's id: names change
    letter: Letter
    name: str
    date: datetime
    series: int | None = None
    number: int | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A series; its patches are those that name it."""

    id: int
    project: Project
    submitter: int
    date: datetime
    version: int
    total: int
    name: str | None = None
    cover: int | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A reply filed under a patch or a cover letter."""

    id: int
    kind: Kind
    parent: int
    submitter: int
    letter: Letter
    date: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """A lab's verdict on a patch."""

    id: int
    patch: int
    user: User
    date: datetime
    state: str
    target_url: str | None
    context: str
    description: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Which of the ids are set depends on the category."""

    id: int
    category: str
    project: Project
    date: datetime
    patch: int | None = None
    cover: int | None = None
    series: int | None = None
    comment: int | None = None
    check: int | None = None
    actor: User | None = None


@dataclass(frozen=True, slots=True)
class FirstIds:
    """The ids that the first of each kind gets; by default those of the recorded answers."""

    patch: int = 131182
    cover: int = 442
    series: int = 29430
    patch_comment: int = 160001
    cover_comment: int = 901
    person: int = 2772
    event: int = 500001
    check: int = 1


DPDK = Project(1, "DPDK", "dpdk", "dev.dpdk.org", "dev@dpdk.org")
CI = Project(5, "CI", "ci", "ci.dpdk.org", "ci@dpdk.org")
