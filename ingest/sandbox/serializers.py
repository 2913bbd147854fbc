# SPDX-License-Identifier: BSD-3-Clause
"""The JSON objects of Patchwork's REST API, made from what the store holds.

Which fields an object has, and since which API version, are facts of Patchwork's OpenAPI
description and ``patchwork/api/*.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.parser import HeaderParser
from typing import Any
from urllib.parse import quote

from ingest.sandbox import parser
from ingest.sandbox.models import Check, Comment, Event, Person, Project, Series, Submission, User
from ingest.sandbox.store import Store

Json = dict[str, Any]
Version = tuple[int, int]

VERSIONS: dict[str, Version] = {
    "1.0": (1, 0),
    "1.1": (1, 1),
    "1.2": (1, 2),
    "1.3": (1, 3),
    "1.4": (1, 4),
}

_NOUNS = ("projects", "users", "people", "patches", "covers", "series", "events", "bundles")

# What Django leaves unquoted in the path of a link (RFC 3986 sub-delims and a few more).
_UNQUOTED = "!$&'()*+,;=/~:@"


@dataclass(frozen=True, slots=True)
class Shapes:
    """Objects in the shape of one API version, with links that begin with one public address."""

    store: Store
    public_url: str  # without a slash at its end
    version: Version  # the one that decides about fields
    prefix: str  # what the request's URL said: "" or "1.2/"

    def index(self) -> Json:
        """The API's root."""
        return {noun: self._api(f"{noun}/") for noun in _NOUNS}

    def project(self, project: Project) -> Json:
        """A project in full."""
        brief = self._brief_project(project)
        maintainers = [
            self.user(user)
            for user in self.store.users.values()
            if project.link_name in user.maintains
        ]
        after_links = ("list_archive_url", "list_archive_url_format", "commit_url_format")
        return self._without_later(
            {key: value for key, value in brief.items() if key not in after_links}
            | {"maintainers": maintainers, "subject_match": ""}
            | {key: brief[key] for key in after_links if key in brief}
            | {"show_dependencies": False},
            {(1, 1): ("subject_match",), (1, 4): ("show_dependencies",)},
        )

    def user(self, user: User) -> Json:
        """An account."""
        return {
            "id": user.id,
            "url": self._api(f"users/{user.id}/"),
            "username": user.username,
            "first_name": "",
            "last_name": "",
            "email": user.email,
        }

    def own_user(self, user: User) -> Json:
        """An account as its owner sees it."""
        settings = {"send_email": False, "items_per_page": 100, "show_ids": False}
        return self._without_later(
            self.user(user) | {"settings": settings}, {(1, 2): ("settings",)}
        )

    def person(self, person: Person) -> Json:
        """A sender in full; none of them has an account here."""
        return self._brief_person(person) | {"user": None}

    def patch(self, patch: Submission) -> Json:
        """A patch as in the list."""
        row = self._head(patch) | {
            "commit_ref": None,
            "pull_url": patch.letter.pull_url,
            "state": "new",
            "archived": False,
            "hash": patch.hash,
            "submitter": self._brief_person(self.store.people[patch.submitter]),
            "delegate": None,
            "mbox": self._web(patch, "mbox/"),
            "series": self._series_of(patch),
            "comments": f"{self.public_url}/api/patches/{patch.id}/comments/",
            "check": self._combined_check(patch),
            "checks": f"{self.public_url}/api/patches/{patch.id}/checks/",
            "tags": {},
            "related": [],
        }
        return self._without_later(
            row, {(1, 1): ("web_url", "comments"), (1, 2): ("list_archive_url", "related")}
        )

    def patch_detail(self, patch: Submission) -> Json:
        """A patch in full."""
        return self.patch(patch) | {
            "headers": _headers(patch.letter.headers),
            "content": patch.letter.message,
            "diff": patch.letter.diff,
            "prefixes": list(parser.name_and_prefixes(patch.name)[1]),
        }

    def cover(self, cover: Submission) -> Json:
        """A cover letter as in the list."""
        row = self._head(cover) | {
            "submitter": self._brief_person(self.store.people[cover.submitter]),
            "mbox": self._web(cover, "mbox/"),
            "series": self._series_of(cover),
            "comments": f"{self.public_url}/api/covers/{cover.id}/comments/",
        }
        return self._without_later(
            row, {(1, 1): ("web_url", "mbox", "comments"), (1, 2): ("list_archive_url",)}
        )

    def cover_detail(self, cover: Submission) -> Json:
        """A cover letter in full."""
        return self.cover(cover) | {
            "headers": _headers(cover.letter.headers),
            "content": cover.letter.message,
        }

    def series(self, series: Series) -> Json:
        """A series, the same in the list and alone."""
        brief = self._brief_series(series)
        patches = self.store.patches_of(series)
        cover = self.store.covers[series.cover] if series.cover else None
        row = {
            "id": series.id,
            "url": brief["url"],
            "web_url": brief.get("web_url"),
            "project": self._brief_project(series.project),
            "name": series.name,
            "date": brief["date"],
            "submitter": self._brief_person(self.store.people[series.submitter]),
            "version": series.version,
            "total": series.total,
            "received_total": len(patches),
            "received_all": len(patches) >= series.total,
            "mbox": brief["mbox"],
            "cover_letter": self._brief_submission(cover) if cover else None,
            "patches": [self._brief_submission(patch) for patch in patches],
        }
        return self._without_later(row, {(1, 1): ("web_url",)})

    def comment(self, comment: Comment) -> Json:
        """A comment, the same in the list and alone."""
        headers = _headers(comment.letter.headers)
        subject = headers.get("Subject", "")
        row = self._brief_comment(comment) | {
            "subject": subject if isinstance(subject, str) else subject[0],
            "submitter": self._brief_person(self.store.people[comment.submitter]),
            "content": comment.letter.message,
            "headers": headers,
            "addressed": False
            if comment.letter.action_required and comment.kind == "patch"
            else None,
        }
        return self._without_later(row, {(1, 3): ("addressed",)})

    def check(self, check: Check) -> Json:
        """A check in full."""
        brief = self._brief_check(check)
        return {
            "id": brief["id"],
            "url": brief["url"],
            "user": self.user(check.user),
            "date": brief["date"],
            "state": check.state,
            "target_url": check.target_url,
            "context": check.context,
            "description": check.description,
        }

    def event(self, event: Event) -> Json:
        """An event with the payload of its category."""
        payload: Json = {}
        if event.patch is not None:
            payload["patch"] = self._brief_submission(self.store.patches[event.patch])
        if event.series is not None:
            payload["series"] = self._brief_series(self.store.series[event.series])
        if event.cover is not None:
            payload["cover"] = self._brief_submission(self.store.covers[event.cover])
        if event.check is not None:
            payload["check"] = self._brief_check(self.store.checks[event.check])
        if event.comment is not None:
            of_patch = event.category.startswith("patch")
            comments = self.store.patch_comments if of_patch else self.store.cover_comments
            payload["comment"] = self._brief_comment(comments[event.comment])
        row = {
            "id": event.id,
            "category": event.category,
            "project": self._brief_project(event.project),
            "date": _iso(event.date),
            "actor": self.user(event.actor) if event.actor else None,
            "payload": payload,
        }
        return self._without_later(row, {(1, 2): ("actor",)})

    def _api(self, path: str) -> str:
        return f"{self.public_url}/api/{self.prefix}{path}"

    def _web(self, submission: Submission, tail: str = "") -> str:
        message_id = submission.letter.message_id.strip("<>").replace("/", "%2F")
        path = f"{submission.project.link_name}/{submission.kind}/{message_id}/{tail}"
        return f"{self.public_url}/project/{quote(path, safe=_UNQUOTED)}"

    def _without_later(self, row: Json, since: Mapping[Version, tuple[str, ...]]) -> Json:
        later = {key for first, keys in since.items() if self.version < first for key in keys}
        return {key: value for key, value in row.items() if key not in later}

    def _head(self, submission: Submission) -> Json:
        noun = "patches" if submission.kind == "patch" else "covers"
        return {
            "id": submission.id,
            "url": self._api(f"{noun}/{submission.id}/"),
            "web_url": self._web(submission),
            "project": self._brief_project(submission.project),
            "msgid": submission.letter.message_id,
            "list_archive_url": None,
            "date": _iso(submission.date),
            "name": submission.name,
        }

    def _brief_submission(self, submission: Submission) -> Json:
        row = self._head(submission) | {"mbox": self._web(submission, "mbox/")}
        del row["project"]
        since_1_1 = ("web_url",) if submission.kind == "patch" else ("web_url", "mbox")
        return self._without_later(row, {(1, 1): since_1_1, (1, 2): ("list_archive_url",)})

    def _series_of(self, submission: Submission) -> list[Json]:
        if submission.series is None:
            return []
        return [self._brief_series(self.store.series[submission.series])]

    def _brief_series(self, series: Series) -> Json:
        link_name = series.project.link_name
        row = {
            "id": series.id,
            "url": self._api(f"series/{series.id}/"),
            "web_url": f"{self.public_url}/project/{link_name}/list/?series={series.id}",
            "date": _iso(series.date),
            "name": series.name,
            "version": series.version,
            "mbox": f"{self.public_url}/series/{series.id}/mbox/",
        }
        return self._without_later(row, {(1, 1): ("web_url",)})

    def _brief_project(self, project: Project) -> Json:
        row = {
            "id": project.id,
            "url": self._api(f"projects/{project.id}/"),
            "name": project.name,
            "link_name": project.link_name,
            "list_id": project.list_id,
            "list_email": project.list_email,
            "web_url": "",
            "scm_url": "",
            "webscm_url": "",
            "list_archive_url": "",
            "list_archive_url_format": "",
            "commit_url_format": "",
        }
        since_1_2 = ("list_archive_url", "list_archive_url_format", "commit_url_format")
        return self._without_later(row, {(1, 2): since_1_2})

    def _brief_person(self, person: Person) -> Json:
        return {
            "id": person.id,
            "url": self._api(f"people/{person.id}/"),
            "name": person.name,
            "email": person.email,
        }

    def _brief_comment(self, comment: Comment) -> Json:
        noun = "patches" if comment.kind == "patch" else "covers"
        row = {
            "id": comment.id,
            "url": self._api(f"{noun}/{comment.parent}/comments/{comment.id}/"),
            "web_url": f"{self.public_url}/comment/{comment.id}/",
            "msgid": comment.letter.message_id,
            "list_archive_url": None,
            "date": _iso(comment.date),
        }
        return self._without_later(
            row, {(1, 1): ("web_url",), (1, 2): ("list_archive_url",), (1, 3): ("url",)}
        )

    def _brief_check(self, check: Check) -> Json:
        return {
            "id": check.id,
            "url": self._api(f"patches/{check.patch}/checks/{check.id}/"),
            "date": _iso(check.date),
            "state": check.state,
            "target_url": check.target_url,
            "context": check.context,
        }

    def _combined_check(self, patch: Submission) -> str:
        newest = {
            (check.user.id, check.context): check.state
            for check in self.store.checks.values()
            if check.patch == patch.id
        }
        for state in ("fail", "warning", "pending"):
            if state in newest.values():
                return state
        return "success" if newest else "pending"


def _iso(moment: datetime) -> str:
    return moment.isoformat()


def _headers(stored: str) -> dict[str, str | list[str]]:
    message = HeaderParser().parsestr(stored, headersonly=True)
    every: dict[str, list[str]] = {}
    for name in message:
        every[name] = message.get_all(name, [])
    return {name: values[0] if len(values) == 1 else values for name, values in every.items()}
