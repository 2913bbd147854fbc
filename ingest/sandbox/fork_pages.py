# SPDX-License-Identifier: BSD-3-Clause
"""The web pages of freedesktop's fork of Patchwork, as far as their links and headers go."""

import html

from ingest.sandbox.fork_store import ForkStore, Patch
from ingest.sandbox.views import Answer

_HTML = "text/html; charset=utf-8"


def not_found(path: str) -> Answer:
    """That there is no such page."""
    text = (
        "<!DOCTYPE html>\n<html>\n <head>\n  <title>404: File not found - Patchwork</title>\n"
        f" </head>\n <body>\n<p>The page URL requested (<code>{html.escape(path)}</code>) does "
        "not exist.</p>\n </body>\n</html>\n"
    )
    return Answer(404, {"Content-Type": _HTML}, text.encode())


def of_patch(store: ForkStore, patch: Patch) -> Answer:
    """The page of a patch."""
    name, headers = html.escape(patch.name), html.escape(patch.letter.headers)
    series = store.series[patch.series] if patch.series else None
    link = f'<a href="/series/{series.id}/"/>"{html.escape(series.name)}"</a>' if series else ""
    row = f"  <tr>\n   <th>Series</th>\n   <td>{link}</td>\n  </tr>\n" if series else ""
    person = f"/project/{patch.project.link_name}/list/?submitter={patch.submitter}"
    comments = "".join(
        f'<div class="comment">\n<pre class="content">\n{html.escape(each.message)}\n</pre></div>\n'
        for each in store.comments.get(patch.id, ())
    )
    text = (
        f"<!DOCTYPE html>\n<html>\n <head>\n  <title>{name} - Patchwork</title>\n"
        "  <script>if (1 < 2) { pw.init('</a>'); }</script>\n </head>\n <body>\n"
        f'<div class="core-info">\n <span>Submitted by <a href="{person}">'
        f"{html.escape(patch.letter.sender_name or '')}</a></span>\n</div>\n"
        '<table class="patchmeta">\n <tr>\n  <th>Message ID</th>\n'
        f"  <td>{html.escape(patch.letter.message_id[1:-1])}</td>\n </tr>\n"
        f"  <tr>\n   <th>State</th>\n   <td>New</td>\n  </tr>\n{row}"
        ' <tr>\n  <th>Headers</th>\n  <td><a href="javascript:toggle()">show</a>\n'
        f'   <div id="patchheaders" class="patchheaders" style="display:none;">\n    <pre>{headers}'
        "\n</pre>\n   </div>\n  </td>\n </tr>\n</table>\n"
        f'<pre class="content">{html.escape(patch.letter.message)}</pre>\n{comments}'
        " </body>\n</html>\n"
    )
    return Answer(200, {"Content-Type": _HTML}, text.encode("utf-8", "replace"))
