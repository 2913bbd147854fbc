# SPDX-License-Identifier: BSD-3-Clause
"""Repositories, servers and names that mean harm to who reads a public-inbox."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ingest import intake
from ingest.config import load as config
from ingest.config.source_tables import InboxSettings
from ingest.errors import ConfigError, FeedUnavailable
from ingest.ledger import Ledger, Outcome
from ingest.sources import git_process
from ingest.sources.git import Git
from ingest.sources.inbox import Haul, Inbox
from tests.support import inboxes
from tests.support.clock import Clock
from tests.support.git_server import GitServer
from tests.support.inboxes import File, Repository, mail
from tests.support.mails import reply

MAX_SIZE = 1 << 20


def recheck(name: object) -> bytes:
    """A mail with a request."""
    return reply("patch@example.org", f"{name}@example.org")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The repository of an inbox in the folder ``dev``."""
    return inboxes.Inbox(tmp_path / "dev").epoch()


@pytest.fixture
def look(tmp_path: Path, ledger: Ledger, clock: Clock) -> Callable[..., Haul]:
    def look(url: str = "", **settings: object) -> Haul:
        table = InboxSettings(url=url or str(tmp_path / "dev"), since="2023-01-01", **settings)  # type: ignore[arg-type]
        followed = Inbox("dev", table, tmp_path / "copies", max_size=MAX_SIZE, clock=clock)
        return followed.look(ledger)

    return look


Look = Callable[..., Haul]

# What is in a repository.

NO_MAILS = {
    "a symbolic link in the mail's place": File(b"m", b"/etc/passwd", "120000"),
    "another repository in the mail's place": File(b"m", b"0" * 39 + b"1", "160000"),
    "a mail in a folder": File(b"m/m", recheck("bad")),
    "a name with a newline": File(b"m\nm", recheck("bad")),
    "a name with an option": File(b"--output=m", recheck("bad")),
    "a name that shows colours": File(b"\x1b[31mm", recheck("bad")),
    "attributes that name a filter": File(b".gitattributes", b"* filter=evil diff=evil\n"),
    "modules": File(b".gitmodules", b'[submodule "m"]\n\tpath = m\n\turl = ext::touch /tmp/x\n'),
}


@pytest.mark.parametrize("file", NO_MAILS.values(), ids=NO_MAILS.keys())
def test_what_is_not_a_mail_is_passed_over(repository: Repository, look: Look, file: File) -> None:
    repository.commit(mail(recheck("one")), [file], mail(recheck("two")))
    assert look() == Haul(mails=2, queued=2)


def test_a_file_that_is_not_a_blob_is_passed_over(repository: Repository, look: Look) -> None:
    repository.commit(mail(recheck("one")))
    tip = repository.tip
    tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin",
                          given=b"100644 m\0" + bytes.fromhex(tip))  # fmt: skip
    commit = repository.git(
        "-c", "user.name=a", "-c", "user.email=a@example.org", "commit-tree", "-p", tip, tree
    )
    repository.git("update-ref", "HEAD", commit)
    repository.commit(mail(recheck("two")))
    assert look() == Haul(mails=2, queued=2)


@pytest.mark.slow
@pytest.mark.parametrize("size", [MAX_SIZE + 1, 50 << 20], ids=["1 MB and 1", "50 MB"])
def test_a_mail_that_is_too_large_is_cut_and_rejected(
    repository: Repository, look: Look, ledger: Ledger, size: int
) -> None:
    large = recheck("large") + b"x" * (size - len(recheck("large")))
    repository.commit(mail(recheck("one")), mail(large), mail(recheck("two")))
    assert look() == Haul(mails=3, queued=2)
    (record,) = ledger.find("large@example.org")
    assert (record.outcome, record.size) == (Outcome.REJECTED, intake.BEGINNING)


@pytest.mark.slow
def test_a_mail_that_only_unpacks_to_something_huge_costs_no_memory(
    repository: Repository, look: Look
) -> None:
    """Half a gigabyte of nothing, in half a megabyte."""
    size = 1 << 29
    head = recheck("huge")
    script = (
        "import sys; out = sys.stdout.buffer; head = sys.argv[1].encode(); "
        f"out.write(head); left = {size} - len(head)\n"
        "while left: left -= out.write(bytes(min(left, 1 << 20)))"
    )
    writing = subprocess.Popen([sys.executable, "-c", script, head], stdout=subprocess.PIPE)
    stored = ["git", f"--git-dir={repository.folder}", "hash-object", "-w", "--stdin"]
    blob = subprocess.run(stored, stdin=writing.stdout, capture_output=True, check=True).stdout
    assert writing.stdout
    writing.stdout.close()
    assert writing.wait() == 0
    tree = repository.git("mktree", given=b"100644 blob %s\tm\n" % blob.strip())
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    repository.git("update-ref", "HEAD", repository.git(*named, "commit-tree", tree))
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "import sys; from pathlib import Path; from ingest.sources import git, public_inbox\n"
        "repository = git.Git(Path(sys.argv[1]), 60); tip = repository.tip()\n"
        "found = public_inbox.pieces(repository, repository.history(tip), 1 << 20)\n"
        "print(sum(len(each.buffer) for each in found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, repository.folder], capture_output=True, check=False
    )
    assert (done.stdout, done.stderr) == (b"%d\n" % (MAX_SIZE + 1), b"")


# What a repository on this machine is configured to do.


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A program that leaves a trace if anything runs it."""
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/trace\ncat\n")
    program.chmod(0o755)
    return program


def test_nothing_of_a_repository_is_run(repository: Repository, look: Look, evil: Path) -> None:
    repository.commit([*mail(recheck("one")), File(b".gitattributes", b"* diff=evil filter=evil")])
    for key in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "core.gitProxy",
        "core.alternateRefsCommand", "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "gpg.program",
        "credential.helper", "uploadpack.packObjectsHook", "sequence.editor", "pager.rev-list",
        "pager.diff-tree", "pager.cat-file", "remote.origin.uploadpack",
    ):  # fmt: skip
        repository.git("config", key, str(evil))
    for key in ("rev-list", "rev-parse", "cat-file", "diff-tree", "merge-base"):
        repository.git("config", f"alias.{key}", f"!{evil}")
    repository.git("config", "log.showSignature", "true")
    repository.git("config", "core.hooksPath", str(evil.parent))
    for hook in ("post-checkout", "pre-receive", "reference-transaction", "pre-auto-gc"):
        (evil.parent / hook).symlink_to(evil)
    assert look() == Haul(mails=1, queued=1)
    assert not (evil.parent / "trace").exists()


def test_a_missing_object_is_fetched_from_nowhere(
    repository: Repository, look: Look, evil: Path
) -> None:
    """git would ask the place that a partial clone names for what it lacks."""
    repository.commit(mail(recheck("one")))
    blob = repository.git("rev-parse", "HEAD:m")
    (repository.folder / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in (
        ("core.repositoryFormatVersion", "1"), ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"), ("remote.origin.url", f"ext::{evil}"),
        ("remote.origin.uploadpack", str(evil)), ("protocol.allow", "always"),
        ("protocol.ext.allow", "always"), ("protocol.file.allow", "always"),
    ):  # fmt: skip
        repository.git("config", key, value)
    for url in (f"ext::{evil}", str(repository.folder), f"file://{repository.folder}"):
        repository.git("config", "remote.origin.url", url)
        with pytest.raises(FeedUnavailable):
            look()
    assert not (evil.parent / "trace").exists()


def test_no_configuration_of_the_system_or_the_user_counts(
    repository: Repository, look: Look, evil: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(mail(recheck("one")))
    home = evil.parent / "home"
    home.mkdir()
    text = f"[core]\n\tfsmonitor = {evil}\n\thooksPath = {evil.parent}\n\tnonsense"
    (home / ".gitconfig").write_text(text + "[[[\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "nonsense")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    monkeypatch.setenv("GIT_EXEC_PATH", "/nonexistent")
    monkeypatch.setenv("GIT_TRACE", str(evil.parent / "trace"))
    assert look() == Haul(mails=1, queued=1)
    assert not (evil.parent / "trace").exists()


# What a URL may be.

URLS = {
    "https": ("https://inbox.dpdk.org/dev", True),
    "https with a slash behind": ("https://inbox.dpdk.org/dev/", True),
    "a port": ("https://[::1]:8443/dev", True),
    "a folder": ("/srv/inbox/dev", True),
    "http": ("http://inbox.dpdk.org/dev", False),
    "a command": ("ext::sh -c touch% /tmp/x", False),
    "ext with slashes": ("ext://sh", False),
    "ssh": ("ssh://inbox.dpdk.org/dev", False),
    "scp": ("git@inbox.dpdk.org:dev", False),
    "git": ("git://inbox.dpdk.org/dev", False),
    "file": ("file:///srv/inbox/dev", False),
    "fd": ("fd::17", False),
    "an option": ("--upload-pack=touch /tmp/x", False),
    "a short option": ("-u", False),
    "a relative path": ("inbox/dev", False),
    "a password": ("https://user:secret@inbox.dpdk.org/dev", False),
    "an option as host": ("https://-oProxyCommand=x/dev", False),
    "no host": ("https:///dev", False),
    "a line end": ("https://inbox.dpdk.org/dev\n-x", False),
    "a line end in a path": ("/srv/inbox\n/dev", False),
    "a blank": ("https://inbox.dpdk.org/d ev", False),
    "a query": ("https://inbox.dpdk.org/dev?x", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("url", "valid"), URLS.values(), ids=URLS.keys())
def test_a_url_is_https_or_a_folder(tmp_path: Path, url: str, valid: bool) -> None:
    environment = {"HOME": str(tmp_path), "RECHECK_INGEST_INBOX_DEV_URL": url}
    if valid:
        loaded = config.load(environment=environment)
        assert loaded.inbox["dev"].url == url.rstrip("/")
    else:
        with pytest.raises(ConfigError, match=r"RECHECK_INGEST_INBOX_DEV_URL|needs url"):
            config.load(environment=environment)


# What a server does.


@pytest.fixture
def server(
    tmp_path: Path, certificate: str, monkeypatch: pytest.MonkeyPatch, repository: Repository
) -> Iterator[GitServer]:
    monkeypatch.setenv("GIT_SSL_CAINFO", certificate)
    repository.commit(mail(recheck("one")))
    with GitServer(tmp_path, certificate) as server:
        yield server


def redirects(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer


def test_a_redirect_is_not_followed(server: GitServer, look: Look, tmp_path: Path) -> None:
    server.answer = redirects(f"{server.url}/other/info/refs?service=git-upload-pack")
    with pytest.raises(FeedUnavailable):
        look(f"{server.url}/dev")
    assert not [path for path in server.asked if path.startswith("/other")]


def test_who_asks_for_a_password_gets_none(server: GitServer, look: Look, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    seen = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="x"')
        handler.end_headers()

    server.answer = answer
    os.environ["HOME"], home = str(tmp_path), os.environ.get("HOME", "")
    try:
        with pytest.raises(FeedUnavailable, match=r"terminal prompts disabled|Authentication"):
            look(f"{server.url}/dev")
    finally:
        os.environ["HOME"] = home
    assert set(seen) == {None}


def test_an_unknown_certificate_is_refused(
    server: GitServer, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSL_CAINFO")
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    with pytest.raises(FeedUnavailable, match="certificate"):
        look(f"{server.url}/dev")


@pytest.mark.slow
def test_a_server_that_stalls_is_given_up(server: GitServer, look: Look) -> None:
    held = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        held.wait(60)

    server.answer = stall
    with pytest.raises(FeedUnavailable, match="did not end within 1 s"):
        look(f"{server.url}/dev", timeout=1.0)
    held.set()


def test_what_a_server_says_is_made_harmless(server: GitServer, look: Look) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        handler.end_headers()
        said = b"ERR \x1b[31m evil\r\n" + b"x" * 5000
        handler.wfile.write(b"001e# service=git-upload-pack\n0000%04x%s" % (len(said) + 4, said))

    server.answer = answer
    with pytest.raises(FeedUnavailable) as raised:
        look(f"{server.url}/dev")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1000


@pytest.mark.slow
def test_a_copy_that_would_be_too_large_is_not_made(
    server: GitServer, look: Look, repository: Repository, tmp_path: Path
) -> None:
    noise = [os.urandom(1 << 20) for _ in range(8)]
    repository.commit(*(mail(recheck(n) + noise[n]) for n in range(8)))
    with pytest.raises(FeedUnavailable, match="takes more than max_disk, 4194304 bytes: raise"):
        look(f"{server.url}/dev", max_disk=4 << 20)
    assert not (tmp_path / "copies" / "dev").exists()
    assert look(f"{server.url}/dev").mails == 9


@pytest.mark.slow
def test_a_copy_is_of_the_newest_commits_only(
    server: GitServer, repository: Repository, ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    repository.commit(*(mail(recheck(n)) for n in range(300)))
    table = InboxSettings(url=f"{server.url}/dev")

    def look() -> Haul:
        followed = Inbox("dev", table, tmp_path / "copies", max_size=MAX_SIZE, clock=clock)
        return followed.look(ledger)

    look()
    repository.commit(mail(recheck("new")))
    assert look() == Haul(mails=1, queued=1)
    copy = Git(tmp_path / "copies" / "dev" / "0.git", 60)
    assert len(copy.history(copy.tip("refs/inbox/tip"))) <= 20


@pytest.mark.slow
@pytest.mark.parametrize("remains", ["shallow.lock", "objects/pack/tmp_pack_x", "a damaged pack"])
def test_what_a_crash_left_of_a_copy_does_not_last(
    server: GitServer, repository: Repository, ledger: Ledger, clock: Clock, tmp_path: Path,
    remains: str,
) -> None:  # fmt: skip
    followed = Inbox("dev", InboxSettings(url=f"{server.url}/dev"), tmp_path / "copies",
                     max_size=MAX_SIZE, clock=clock)  # fmt: skip
    followed.look(ledger)
    repository.commit(mail(recheck("two")))
    followed.look(ledger)
    copy = tmp_path / "copies" / "dev" / "0.git"
    if remains == "a damaged pack":
        for file in (copy / "objects").rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                file.write_bytes(file.read_bytes()[:10])
    else:
        (copy / remains).parent.mkdir(exist_ok=True)
        (copy / remains).write_bytes(b"")
    repository.commit(mail(recheck("three")))
    try:
        followed.look(ledger)
    except FeedUnavailable:
        followed.look(ledger)
    assert ledger.find("three@example.org")


# git itself.


def test_a_machine_without_git_is_told_what_to_install(
    repository: Repository, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FeedUnavailable, match="git is not installed"):
        look()


def test_a_git_that_fails_or_says_nonsense_is_told(
    repository: Repository, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(FeedUnavailable, match="broken"):
        look()
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(FeedUnavailable, match="exit code -9"):
        look()


@pytest.mark.slow
def test_a_git_that_hangs_is_ended_with_its_helpers(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    program.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/helper\nwait\n")
    program.chmod(0o755)
    stopped = time.monotonic() + 1
    with pytest.raises(FeedUnavailable, match="was stopped"):
        Git(repository.folder, 600, lambda: time.monotonic() > stopped).tip()
    helper = int((tmp_path / "helper").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):
            os.kill(helper, 0)
            time.sleep(0.01)


def test_git_gets_nothing_of_our_environment_but_the_way_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("GIT_SSH_COMMAND", "touch /tmp/x")
    monkeypatch.setenv("RECHECK_INGEST_TOKEN", "secret")
    environment = git_process.environment("https")
    assert environment["https_proxy"] == "http://proxy.example.org:3128"
    assert "GIT_SSH_COMMAND" not in environment and "RECHECK_INGEST_TOKEN" not in environment
    assert environment["GIT_ALLOW_PROTOCOL"] == "https"
    assert git_process.environment("")["GIT_ALLOW_PROTOCOL"] == "none"
