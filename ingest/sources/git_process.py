# SPDX-License-Identifier: BSD-3-Clause
"""The git program as a process: what it learns from us, what it may do, and when it is ended.

git is given no configuration, hooks, prompts, redirects or helpers but ours, and limits in time
and output. What it is asked is not known here.
"""

import contextlib
import fcntl
import os
import resource
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ingest.errors import FeedUnavailable

# Seconds between two looks at a running git: must it stop, has its copy grown too large?
_LOOK = 0.5
# Bytes of standard error that are kept, the last ones: a server may say what it likes there.
_MOST_SAID = 4000
_MOST_OUTPUT = 256 << 20
# Memory of the one process that reads an object which is larger than a mail may be.
_MOST_MEMORY = 2 << 30
# What of our environment git is given: how the network is reached, and which certificates count.
_PASSED_ON = (
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
# Bytes that git may be ahead of us.
_PIPE = 1 << 20
_NOWHERE = "/nonexistent"
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.askPass=",
    # A larger object is passed through, not read into memory.
    "core.bigFileThreshold=1m",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "http.sslVerify=true",
    "http.cookieFile=",
    # A server that sends nearly nothing for a minute sends nothing.
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
)


def never() -> bool:
    """The answer of who never wants to stop."""
    return False


@dataclass(frozen=True, slots=True)
class Ended:
    """A git that has ended: its exit code, what it wrote, and the end of what it complained of."""

    code: int
    output: bytes
    said: bytes


@dataclass(frozen=True, slots=True)
class GitProcess:
    """git processes on one repository. ``timeout``: seconds that a command may take, or be silent
    when its output is read as it comes; ``stop`` is asked now and then whether to give up. Every
    method raises ``FeedUnavailable`` if git is not there, or is ended before its time."""

    folder: Path
    timeout: float
    stop: Callable[[], bool] = never

    def ended(
        self,
        command: Sequence[str],
        *,
        given: bytes = b"",
        protocol: str = "",
        watch: Callable[[], str] = str,
    ) -> Ended:
        """git's exit code and output. ``watch`` gives a reason to end it, or ""."""
        until = time.monotonic() + self.timeout
        said = b""
        # Into a file: git writes line by line, and each would wake us.
        with (
            os.fdopen(os.memfd_create("output"), "w+b") as output,
            self.started(command, given, protocol, output=output) as process,
        ):
            for piece in _pieces(process):
                said = (said + piece)[-_MOST_SAID:]
                length = os.fstat(output.fileno()).st_size
                if reason := self.reason_to_end(until, length) or watch():
                    raise FeedUnavailable(reason)
            try:
                code = process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise FeedUnavailable(self.reason_to_end(0.0)) from error
            output.seek(0)  # its end is where git has left it
            return Ended(code, output.read(), said)

    def reason_to_end(self, until: float, length: int = 0) -> str:
        """Why a git must not go on, "" if it may. ``until``: a reading of the monotonic clock;
        ``length``: of what it has written."""
        if self.stop():
            return "git was stopped"
        if time.monotonic() > until:
            return f"git did not end within {self.timeout:.0f} s"
        return f"git gives more than {_MOST_OUTPUT} bytes" if length > _MOST_OUTPUT else ""

    @contextlib.contextmanager
    def started(
        self,
        command: Sequence[str],
        given: bytes = b"",
        protocol: str = "",
        output: IO[bytes] | None = None,
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """A running git: what it writes goes to the file ``output`` and its complaints to a pipe,
        or, without one, what it writes to a pipe."""
        program = shutil.which("git")
        if not program:
            raise FeedUnavailable("git is not installed: install it, or put it in PATH")
        settings = [part for each in _SETTINGS for part in ("-c", each)]
        where = ("-c", f"safe.directory={self.folder}", f"--git-dir={self.folder}")
        # From a file, so that nobody waits for the other to read.
        with os.fdopen(os.memfd_create("given"), "w+b") as file:
            file.write(given)
            file.seek(0)
            try:
                process = subprocess.Popen(
                    [program, *settings, *where, *command],
                    stdin=file,
                    stdout=output or subprocess.PIPE,
                    stderr=subprocess.PIPE if output else subprocess.DEVNULL,
                    cwd="/",
                    env=environment(protocol),
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                raise FeedUnavailable(f"git cannot be started: {error.strerror}") from error
        try:
            yield process
        finally:
            if process.returncode is None:
                # With its helpers, which would go on downloading.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


class Pipe:
    """The standard output of a git that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", git: GitProcess) -> None:
        assert process.stdout
        self._out = process.stdout.fileno()
        with contextlib.suppress(OSError):  # not more than root allows
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE)
        self._git = git
        self._ready = select.poll()
        self._ready.register(self._out, select.POLLIN | select.POLLHUP)

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        pieces = []
        until = time.monotonic() + self._git.timeout
        while size:
            if not self._ready.poll(_LOOK * 1000):
                if reason := self._git.reason_to_end(until):
                    raise FeedUnavailable(reason)
                continue
            piece = os.read(self._out, min(size, 1 << 20))
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
            until = time.monotonic() + self._git.timeout
        return b"".join(pieces)


def environment(protocol: str) -> dict[str, str]:
    """All that git learns from us. ``protocol``: the one that it may fetch by; "": none."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        # curl would look for .netrc there, and git for its attributes.
        "HOME": _NOWHERE,
        "XDG_CONFIG_HOME": _NOWHERE,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": protocol or "none",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": "/dev/null",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
    }


def _pieces(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """What a process complains of until it ends; an empty piece now and then."""
    assert process.stderr
    with process.stderr as stream:
        ready = select.poll()
        ready.register(stream, select.POLLIN | select.POLLHUP)
        while True:
            if ready.poll(_LOOK * 1000):
                piece = os.read(stream.fileno(), 1 << 16)
                if not piece:
                    return
                yield piece
            else:
                yield b""


def limit_memory(pid: int) -> None:
    """Keep a process below what it may take, and below what it was allowed before."""
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        limits = [each for each in resource.prlimit(pid, resource.RLIMIT_AS) if each >= 0]
        most = min([_MOST_MEMORY, *limits])
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
