# SPDX-License-Identifier: BSD-3-Clause
"""A list archive that looks like one: an mbox of any number of mails, the same every time.

12 % of the mails are base64, 15 % quoted-printable, one in 500 holds a request; half bring the
signatures that mail servers add, whose letters are as good as random.
"""

import base64
import quopri
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from measure import Plan, Skipped

MAILS = 50_000  # 150 MB
SERIES = 200  # patches that are replied to
_MEAN, _LEAST = 3000, 1500  # bytes of a mail
_REQUESTS = 500  # mails to one request
# Bytes by which base64 and quoted-printable lengthen a text.
_GROWTH = {"base64": 1.36, "quoted-printable": 1.06}

_WORDS = """
the a of to and in is that this it for as with not be on are was by if from or an driver port
queue mbuf ring flow rule device memory buffer thread core lock packet offload descriptor patch
series review commit build test fails should could please think would need because
rte_eth_dev_configure rte_mempool_create struct uint16_t return const static void NULL size
alignment burst vector performance regression release branch maintainer documentation API ABI
stable backport context request check encoding character content transfer
"""
_NAMES = ("Zoë", "Jürgen", "Łukasz", "Åsa", "François", "naïve", "–", "“quoted”", "日本", "✓")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def mbox(plan: Plan, mails: int = MAILS) -> Path:
    """The archive of so many mails in the folder for files, made unless it is there."""
    path = plan.work / f"archive-{mails}.mbox"
    if not path.exists():
        _need(plan, mails * _MEAN)
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            for each in entries(mails):
                file.write(each)
        new.rename(path)
    return path


def repeated(plan: Plan, once: Path, times: int) -> Path:
    """An archive several times over, every time with other Message-IDs."""
    path = once.with_name(f"{once.stem}-times-{times}.mbox")
    if not path.exists():
        _need(plan, once.stat().st_size * times)
        content = once.read_bytes()
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            for number in range(times):
                file.write(content.replace(b".0000@", b".%04d@" % number))
        new.rename(path)
    return path


def _need(plan: Plan, size: int) -> None:
    free = shutil.disk_usage(plan.work).free
    if free < 2 * size:
        raise Skipped(f"{size / 1e9:.1f} GB are needed twice over, but {free / 1e9:.1f} are free")


def entries(mails: int) -> Iterator[bytes]:
    """The mails of an archive, each with its From_ line and the blank line after it."""
    chance = random.Random(6)
    lines = [_line(chance) for _ in range(4000)]
    for number in range(mails):
        content = mail(number, chance, lines, request=number % _REQUESTS == 7)
        separator = b"From robin@example.org Mon Mar  2 10:%02d:%02d 2026\n"
        yield separator % (number // 60 % 60, number % 60) + content + b"\n"


def letters(mails: int, each_request: int) -> Iterator[bytes]:
    """Mails as a list sends them, one of ``each_request`` of them with a request."""
    chance = random.Random(7)
    lines = [_line(chance) for _ in range(4000)]
    for number in range(mails):
        request = number % each_request == each_request // 2
        yield mail(number, chance, lines, request=request)


def mail(number: int, chance: random.Random, lines: list[str], *, request: bool) -> bytes:
    """A reply to a patch; ``lines`` are what texts are made of."""
    share = chance.random()
    encoding = "base64" if share < 0.12 else "quoted-printable" if share < 0.27 else ""
    head = _head(number, chance, encoding)
    size = max(_LEAST, round(chance.lognormvariate(0, 0.7) * 0.76 * _MEAN))
    text = _text(chance, lines, round((size - len(head)) / _GROWTH.get(encoding, 1.0)))
    if encoding:
        text = f"{chance.choice(_NAMES)} wrote:\n{text}"
    if request:
        text = f"Recheck-request: iol-unit-amd64-testing, bench-{number}\n\n{text}"
    raw = text.encode()
    if encoding == "base64":
        raw = base64.encodebytes(raw)
    elif encoding:
        raw = quopri.encodestring(raw)
    return head.encode() + raw


def _head(number: int, chance: random.Random, encoding: str) -> str:
    subject = f"Re: [PATCH v{number % 7 + 1} {number % 9}/9] net/example: fix number {number}"
    signature = "".join(chance.choices(_LETTERS, k=344)) if chance.random() < 0.5 else ""
    folded = "\n\t".join(signature[at : at + 72] for at in range(0, len(signature), 72))
    return (
        "Return-Path: <dev-bounces@dpdk.org>\n"
        "Received: from mails.example.org (localhost [127.0.0.1])\n"
        f"\tby inbox.example.org (Postfix) with ESMTP id {chance.randrange(1 << 40):010X};\n"
        "\tMon,  2 Mar 2026 10:00:00 +0100 (CET)\n"
        "Received: from mx.example.com (mx.example.com [192.0.2.17])\n"
        f"\tby mails.example.org (Postfix) with ESMTP id {chance.randrange(1 << 40):010X}\n"
        "\tfor <dev@dpdk.org>; Mon,  2 Mar 2026 10:00:00 +0100 (CET)\n"
        + (
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.org; s=mail;\n"
            f"\th=from:subject:date:message-id; b={folded}\n"
            if signature
            else ""
        )
        + f"From: Robin Reviewer <robin{number % 300}@example.org>\n"
        "To: Alex Author <alex@example.org>\nCc: dev@dpdk.org, stable@dpdk.org\n"
        f"Subject: {subject}\nDate: Mon, 2 Mar 2026 10:00:00 +0100\n"
        f"Message-ID: <mail-{number}.0000@example.org>\n"
        f"In-Reply-To: <patch-{number % SERIES}@example.org>\n"
        f"References: <patch-{number % SERIES}@example.org>\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset="
        + ("UTF-8" if encoding or number % 2 else "us-ascii")
        + f"\nContent-Transfer-Encoding: {encoding or '7bit'}\n"
        "X-BeenThere: dev@dpdk.org\nX-Mailman-Version: 2.1.29\nPrecedence: list\n"
        "List-Id: DPDK patches and discussions <dev.dpdk.org>\n"
        "List-Archive: <http://mails.example.org/archives/dev/>\n"
        "Errors-To: dev-bounces@dpdk.org\nSender: dev-bounces@dpdk.org\n\n"
    )


def _line(chance: random.Random) -> str:
    words = _WORDS.split()
    text = " ".join(chance.choices(words, k=chance.randrange(3, 12)))[:74]
    mark = chance.choice(("", "", "> ", "> ", "> > ", ">> +\t", "> -", "> @@ ", "\t"))
    return f"{mark}{text}\n" if chance.random() < 0.85 else "\n"


def _text(chance: random.Random, lines: list[str], size: int) -> str:
    """Lines of about so many characters in all."""
    chosen = []
    while size > 0:
        chosen.append(chance.choice(lines))
        size -= len(chosen[-1])
    return "".join(chosen)
