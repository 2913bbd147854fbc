# SPDX-License-Identifier: BSD-3-Clause
"""How tables of settings are declared, and where each stands in the file.

A table is a ``Value`` whose fields are settings, tables, or named tables such as
``[webhook.NAME]``. The outermost table is the whole file.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any

from ingest.config.values import Reader
from ingest.value import Value

Path = tuple[str, ...]


def setting(read: Reader, default: Any, help: str, *, needed: bool = False) -> Any:
    """A setting. ``read`` makes its value out of what is written; ``needed``: a table that is
    there cannot do without this setting."""
    return field(default=default, metadata={"read": read, "help": help, "needed": needed})


def named(table: type, at: str = "") -> Any:
    """Tables of one kind, each under a name of its own. ``at``: the word before the name in the
    file, by default the field's name; a plain table may stand there, too."""
    return field(default_factory=dict, metadata={"named": table, "at": at})


def free(read: Reader, help: str) -> Any:
    """A table whose keys are not known: whatever stands there is read by ``read``. It is a field of
    the outermost table."""
    return field(default_factory=dict, metadata={"free": read, "help": help})


def free_tables(root: type) -> dict[str, Field[Any]]:
    """The tables whose keys are not known, by name."""
    return {each.name: each for each in fields(root) if "free" in each.metadata}


def settings_of(table: type) -> dict[str, Field[Any]]:
    """A table's settings by name."""
    return {each.name: each for each in fields(table) if "read" in each.metadata}


def subtable(each: Field[Any]) -> type | None:
    """The plain table that a field is, None if it is something else."""
    made = each.default_factory
    return made if made is not MISSING and is_dataclass(made) else None


class Layout(Value):
    """The tables by their place in the file, in the order of their declaration: ``plain`` ones,
    and, by what is before the name, ``named`` ones. A table in a table: ``("policy", "group")``."""

    plain: Mapping[Path, type]
    named: Mapping[Path, type]

    def tables(self) -> dict[str, type]:
        """All tables as they are written, such as ``patchwork`` and ``webhook.NAME``."""
        plain = {".".join(path): table for path, table in self.plain.items()}
        named = {".".join((*path, "NAME")): table for path, table in self.named.items()}
        return {**plain, **named}


def layout(root: type, path: Path = ()) -> Layout:
    """Where the tables of the outermost table are."""
    plain: dict[Path, type] = {}
    named: dict[Path, type] = {}
    for each in fields(root):
        if "named" in each.metadata:
            named[*path, each.metadata["at"] or each.name] = each.metadata["named"]
        elif table := subtable(each):
            plain[*path, each.name] = table
            below = layout(table, (*path, each.name))
            plain |= below.plain
            named |= below.named
    return Layout(plain, named)
