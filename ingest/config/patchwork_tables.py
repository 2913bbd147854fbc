# SPDX-License-Identifier: BSD-3-Clause
"""What can be set of Patchwork servers: the one that most mails are about, and further ones."""

from ingest.config import values
from ingest.config.layout import setting
from ingest.config.values import DAY
from ingest.value import Value


class PatchworkSettings(Value):
    """The Patchwork server that knows the patches."""

    url: str = setting(
        values.url,
        "https://patches.dpdk.org",
        "the server; /api is added unless an API path is given",
    )
    timeout: float = setting(
        values.positive, 10.0, "seconds a request may take, from first to last byte"
    )
    max_answer: int = setting(values.whole, 8 << 20, "bytes of an answer read at most")
    remember_found: float = setting(
        values.number, DAY, "seconds that a found patch or project list is cached"
    )
    remember_missing: float = setting(values.number, 30.0, "seconds that “not found” is cached")
    waits: tuple[float, ...] = setting(
        values.numbers,
        (10.0, 20.0, 30.0, 60.0),
        "seconds before Patchwork is asked again for the mail that was replied to, before another "
        "one of the thread counts",
    )
    questions: int = setting(
        values.whole, 40, "questions that an attempt at a mail may cost; then it goes on later"
    )
    questions_per_sender: int = setting(
        values.whole, 200, "questions that the mails of one sender may cost in an hour"
    )
    kind: str = setting(
        values.choice("auto", "patchwork", "freedesktop"),
        "auto",
        'what the server runs: "patchwork", freedesktop\'s fork, or "auto" to find out',
    )
    xmlrpc: bool = setting(
        values.truth,
        False,
        "whether a patch is also looked for by XML-RPC, where the REST API finds no Message-ID, or "
        "in the wrong project; needs recheck-ingest[xmlrpc], and a server that has it turned on",
    )


class ServerSettings(PatchworkSettings):
    """A further Patchwork server, for the mail of some lists."""

    lists: tuple[str, ...] = setting(
        values.texts, (), "fnmatch patterns of the List-Ids whose mail is looked up here"
    )
    projects: tuple[str, ...] = setting(
        values.texts,
        (),
        "link names of projects on this server: the mail of their lists is looked up here, too",
    )
