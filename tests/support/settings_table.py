# SPDX-License-Identifier: BSD-3-Clause
"""The table of settings in contrib/doc/settings.md: what it must be, and, as a program, writing it
there: ``python -m tests.support.settings_table``."""

from typing import Any

from ingest.config import load as config
from ingest.config import values
from ingest.config.layout import free_tables, settings_of
from ingest.config.tables import Settings
from tests.support.places import ROOT

PAGE = ROOT / "contrib" / "doc" / "settings.md"
BEGIN, END = "<!-- settings -->\n", "\n<!-- /settings -->"


def shown(setting: Any) -> str:
    """A default as it is written in TOML."""
    value = setting.default
    if setting.metadata["read"] is values.octal:
        return f"`0o{value:o}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{v}"' if isinstance(v, str) else f"{v:g}" for v in value) + "]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return (
        f'`"{value}"`'
        if isinstance(value, str)
        else f"`{value:.0f}`"
        if value >= 1
        else f"`{value}`"
    )


def settings_table() -> str:
    """The README's table of settings, as it must be."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, table in config.places().tables().items():
        for key, setting in settings_of(table).items():
            default, meaning = shown(setting), setting.metadata["help"]
            meaning += "; needed" * setting.metadata["needed"]
            lines.append(f"| `[{name}]` `{key}` | {default} | {meaning} |")
    for name, free in free_tables(Settings).items():
        lines.append(f"| `[{name}]` `NAME` | none | {free.metadata['help']} |")
    return "\n".join(lines)


def table_on_the_page() -> str:
    """The table as it stands on the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + settings_table() + END + rest.partition(END)[2])
