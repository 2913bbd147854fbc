# SPDX-License-Identifier: BSD-3-Clause
"""A command line as it is before argparse reads it: common flags may stand before the command, and
the pipe's are read at a glance. Imports nothing, for the pipe."""

_WITH_VALUE = ("--config", "--state", "--patchwork", "--contexts", "--retests")
_ALONE = ("--json",)
# Those of the pipe whose value is taken as it stands.
_PLAIN = ("--config", "--state", "--patchwork", "--retests", "--list-id")


def in_order(arguments: list[str]) -> list[str]:
    """The same arguments with the command first. Common flags that stood before the command stand
    behind all others, where every command reads them."""
    moved: list[str] = []
    rest = arguments
    while rest and rest[0].startswith("-"):
        name, has_value, _ = rest[0].partition("=")
        is_verbose = len(name) > 1 and not name[1:].strip("v")
        if name in _WITH_VALUE and not has_value:
            width = 2
        elif name in _WITH_VALUE or name in _ALONE or is_verbose:
            width = 1
        else:  # a flag of the program's own, such as --help, or a mistake: argparse tells
            return arguments
        moved += rest[:width]
        rest = rest[width:]
    if not rest:
        return arguments
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *moved, *rest[end:]]


def plain(arguments: list[str]) -> dict[str, str] | None:
    """The pipe's flags as argparse names them, None if there is anything that takes more to read,
    or is a mistake."""
    flags = {}
    left = list(reversed(arguments))
    while left:
        name, has_value, value = left.pop().partition("=")
        if not has_value:
            value = left.pop() if left else "-"
        if name not in _PLAIN or (value.startswith("-") and not has_value):
            return None
        flags[name[2:].replace("-", "_")] = value
    return flags
