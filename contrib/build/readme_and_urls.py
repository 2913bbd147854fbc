# SPDX-License-Identifier: BSD-3-Clause
"""Puts into a package, when it is built, the project's URLs, and a README whose links work where
there is no checkout around it: on a package index, or in ``pip show``.

The project's address is $RECHECK_INGEST_URL, else that of the checkout's remote ``origin``. Without
any, a link to a guide becomes the command that prints it.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")
_GUIDE = re.compile(r"contrib/doc/([\w-]+)\.md")


class ReadmeAndUrls(MetadataHookInterface):
    """Hatchling's hook."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in what pyproject.toml declares as dynamic."""
        root = Path(self.root)
        address = os.environ.get("RECHECK_INGEST_URL") or _origin(root)
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_links(text, address)}
        metadata["urls"] = urls(address)


def urls(address: str) -> dict[str, str]:
    """The project's URLs by their names; none for no address."""
    if not address:
        return {}
    guides = f"{address}/blob/HEAD/contrib/doc"
    return {
        "Homepage": address,
        "Documentation": f"{address}/blob/HEAD/README.md#guides",
        "Changelog": f"{guides}/changelog.md",
        "Issues": f"{address}/issues",
    }


def with_links(text: str, address: str) -> str:
    """A README whose links into the tree lead to ``address``; without one, a guide's link names
    the command that prints it, and of any other link the text is left."""

    def link(found: re.Match[str]) -> str:
        label, target, part = found[1], found[2], found[3] or ""
        if address:
            return f"[{label}]({address}/blob/HEAD/{target}{part})"
        guide = _GUIDE.fullmatch(target)
        return f"{label} (`recheck-ingest help {guide[1]}`)" if guide else label

    return _LINK.sub(link, text)


def _origin(root: Path) -> str:
    """The address of the web pages of the remote ``origin``, "" if that is not an https URL."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "remote", "get-url", "origin"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    address = done.stdout.strip().removesuffix(".git")
    return address if re.fullmatch(r"https://[^\s@]+", address) else ""
