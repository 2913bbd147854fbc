# SPDX-License-Identifier: BSD-3-Clause
"""The JSON objects of freedesktop's fork of Patchwork, as its REST API shows them."""

from datetime import datetime
from typing import Any

from ingest.sandbox.fork_store import Event, Patch, Revision, Series, TestResult
from ingest.sandbox.models import Project

Json = dict[str, Any]


def _moment(at: datetime) -> str:
    return at.isoformat()


def project(project: Project) -> Json:
    """A project."""
    return {
        "id": project.id,
        "name": project.name,
        "linkname": project.link_name,
        "listemail": project.list_email,
        "web_url": "",
        "scm_url": "",
        "webscm_url": "",
    }


def patch(patch: Patch) -> Json:
    """A patch."""
    return {
        "id": patch.id,
        "project": patch.project.id,
        "name": patch.name,
        "date": _moment(patch.date),
        "last_updated": _moment(patch.updated),
        "submitter": patch.submitter,
        "state": 1,
        "content": patch.letter.diff,
    }


def series(series: Series) -> Json:
    """A series, with what its newest revision holds."""
    count = len(series.newest.patches)
    return {
        "id": series.id,
        "project": series.project.id,
        "name": series.name,
        "n_patches": count,
        "submitter": series.submitter,
        "submitted": _moment(series.submitted),
        "last_updated": _moment(series.updated),
        "version": series.newest.version,
        "reviewer": None,
        "test_state": None,
        "state": "initial" if count == series.newest.total else "incomplete",
        "state_summary": [{"name": "New", "final": False, "count": count}],
    }


def revision(revision: Revision) -> Json:
    """A revision, with its patches in their order."""
    return {"version": revision.version, "cover_letter": None, "patches": revision.ids}


def event(event: Event) -> Json:
    """An event."""
    return {
        "name": "series-new-revision",
        "event_time": _moment(event.at),
        "series": event.series,
        "patch": None,
        "user": None,
        "parameters": {"revision": event.revision},
    }


def result(result: TestResult) -> Json:
    """What a lab says of a test."""
    return {
        "test_name": result.test_name,
        "state": result.state,
        "url": result.url,
        "summary": result.summary,
        "date": str(result.date),
    }
