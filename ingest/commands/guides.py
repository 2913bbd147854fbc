# SPDX-License-Identifier: BSD-3-Clause
"""The guides and ready files that came with the program: where they are, and what a guide says."""

import sysconfig
from collections.abc import Mapping
from pathlib import Path

from ingest.errors import UsageError
from ingest.words import meant

# What "help files" stands for, which is no guide of its own.
FILES = "files"


def folder() -> Path:
    """Where aliases.example and contrib are: in the checkout that the program runs from, else
    below the prefix of its installation. Raises ``UsageError`` if neither has them."""
    checkout = Path(__file__).parents[2]
    installed = Path(sysconfig.get_path("data"), "share", "recheck-ingest")
    for each in (checkout, installed):
        if (each / "contrib" / "doc").is_dir():
            return each
    raise UsageError(f"this installation lacks its guides: {installed} should hold them")


def topics() -> Mapping[str, Path]:
    """The guides by the name that ``help`` takes."""
    return {page.stem: page for page in sorted((folder() / "contrib" / "doc").glob("*.md"))}


def text(topic: str | None) -> str:
    """A guide; without a topic the list of them; for "files" where the ready files are. Raises
    ``UsageError`` for a topic that there is no guide about."""
    if topic == FILES:
        return _files(folder())
    if topic is None:
        titles = {name: _title(page) for name, page in topics().items()}
        titles[FILES] = "Where the ready files are"
        names = "".join(f"  {name:16}{title}\n" for name, title in titles.items())
        return f"recheck-ingest help TOPIC prints a guide. The topics are:\n\n{names}"
    if topic not in topics():
        near = meant(topic, [*topics(), FILES])
        raise UsageError(f"there is no guide about {topic!r}{near}; see recheck-ingest help")
    return topics()[topic].read_text()


def _title(page: Path) -> str:
    with page.open(encoding="utf-8") as lines:
        return lines.readline().strip("# \n")


def _files(place: Path) -> str:
    """Each folder of ready files, with what is in it."""
    lines = [f"{place / 'aliases.example'}"]
    for each in sorted((place / "contrib").iterdir()):
        if each.is_dir() and each.name not in ("doc", "bench", "build", "fuzz", "__pycache__"):
            held = sorted(file.name for file in each.iterdir() if file.is_file())
            lines.append(f"{each}: {', '.join(held)}")
    return "\n".join(lines) + "\n"
