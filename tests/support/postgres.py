# SPDX-License-Identifier: BSD-3-Clause
"""A PostgreSQL of our own for tests: a cluster for each process, a database for each test.

The server is reached by a socket in its folder alone, and runs as the user postgres where the tests
run as root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest.ledger import open_ledger
from tests.support.leftovers import memory

# What tests need no care for is turned off.
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "fatal",
}
_ON_DISK = {
    "listen_addresses": "''",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "log_min_messages": "fatal",
}
# Waits until its standard input is closed, and ends the server of a folder, if that is still there.
_GUARD = """read nothing
test -d "$1" || exit 0
kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null
sleep 1
rm -rf "$1"
"""
_ROLE = "recheck"

# What tables hold.
Rows = dict[str, list[tuple[Any, ...]]]


@cache
def programs() -> Path | None:
    """The folder of the newest server's programs, None if there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(versions, key=lambda each: int(each.parts[-3]))
    return newest[-1].parent if newest else None


def needed() -> Path:
    """As ``programs``; a test that needs them is skipped without them."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    return found


class Cluster:
    """A server with its own folder."""

    def __init__(
        self,
        *,
        standby_of: "Cluster | None" = None,
        on_disk: bool = False,
        within: Sequence[str] = (),
        superuser: str = _ROLE,
        **settings: str,
    ) -> None:
        """Make and start it. ``standby_of``: the server that it follows; ``on_disk``: what is
        committed is on the disk, and all else is as PostgreSQL has it; ``within``: a command that
        runs its programs; ``superuser``: the name of the first role; ``settings``: of
        postgresql.conf, besides those."""
        self._bin, self._within, self._superuser = needed(), within, superuser
        place = None if on_disk else memory()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=place))
        self._databases: dict[str, Path] = {}
        self._first_rows: dict[str, Rows] = {}
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.folder.chmod(0o755)
        self.settings = {
            **(_ON_DISK if on_disk else _SETTINGS),
            "unix_socket_directories": f"'{self.folder}'",
            **settings,
        }
        if standby_of:
            self._copy(standby_of)
        else:
            self._run(
                "initdb", "--no-sync", "--auth=trust", f"--username={superuser}", "--encoding=UTF8",
                # Another order of texts than ours, as users have.
                "--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8",
                f"--pgdata={self.data}",
            )  # fmt: skip
        self.start()
        # If this process is killed, nobody removes what it made but this one.
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _copy(self, other: "Cluster") -> None:
        """Be what the other one is, and follow it."""
        self._run(
            "pg_basebackup", "--no-sync", "--checkpoint=fast", "--wal-method=stream",
            "--write-recovery-conf", f"--host={other.folder}", f"--username={self._superuser}",
            f"--pgdata={self.data}",
        )  # fmt: skip

    def follow(self, other: "Cluster") -> None:
        """Forget all, whatever state it is in, and begin anew as a standby of another one."""
        if not self.is_lost():
            self.kill()
        shutil.rmtree(self.data)
        # The one that was killed is there for a while, as far as a lock file can tell.
        for left in self.folder.glob(".s.PGSQL.*"):
            left.unlink()
        self._copy(other)
        self.start()

    @property
    def data(self) -> Path:
        """The server's files."""
        return self.folder / "data"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        given = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        self._run("pg_ctl", "start", f"--pgdata={self.data}", "--wait", "--silent",
                  f"--log={self.folder}/log", f"--options={given}")  # fmt: skip

    def stop(self, how: str = "immediate") -> None:
        """Stop the server."""
        self._run("pg_ctl", "stop", f"--pgdata={self.data}", f"--mode={how}", "--silent")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """All its processes are stopped and answer nothing, until the block is left."""
        processes = self.processes()
        send(signal.SIGSTOP, processes)
        try:
            yield
        finally:
            send(signal.SIGCONT, processes)

    def processes(self, what: str = "") -> list[int]:
        """The ids of its processes, or of those whose title has this in it."""
        main = (self.data / "postmaster.pid").read_text().split()[0]
        command = ["pgrep", "--parent", main, "--full", what or "."]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return [*([] if what else [int(main)]), *map(int, found.stdout.split())]

    def kill(self) -> None:
        """End it as the loss of its machine does."""
        processes = self.processes()
        send(signal.SIGKILL, processes)
        while not all(map(is_dead, processes)):
            time.sleep(0.005)

    def is_lost(self) -> bool:
        """Whether it was stopped or killed."""
        return not (self.data / "postmaster.pid").exists() or all(map(is_dead, self.processes()))

    def promote(self) -> None:
        """Have a standby take writes."""
        self._run("pg_ctl", "promote", f"--pgdata={self.data}", "--wait", "--silent")

    def remove(self) -> None:
        """Stop the server, and remove all that it has."""
        try:
            if not self.is_lost():
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._guard.communicate()

    def url(self, database: str, role: str = "") -> str:
        """The URL of one of its databases, for the superuser or another role."""
        return f"postgresql://{role or self._superuser}@/{database}?host={self.folder}"

    def admit(self, addresses: str) -> None:
        """Let anybody in who comes from these addresses."""
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {addresses} trust\n")
        self.execute("SELECT pg_reload_conf()")

    def load(self, script: Path) -> None:
        """Have psql run a script as the superuser, to the end or the first error."""
        url = self.url("postgres")
        with script.open() as statements:
            done = subprocess.run(
                [self._bin / "psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={url}"],
                stdin=statements,
                capture_output=True,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (0, "")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """One statement by the superuser, outside of any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def copy_of(self, url: str) -> str:
        """The URL of a copy of a ledger that nobody uses now, as what a dump of it is restored to:
        a database of its own."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.begin_database(f"{name}_copy", like=str(name))
        return self.url(f"{name}_copy")

    def begin_database(self, name: str, like: str = "template1") -> None:
        """Have a database of this name that is a copy of another one, which nobody uses now."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {name} TEMPLATE {like}")

    def wait_until_left(self, name: str) -> None:
        """Wait until the server knows that those are gone who used a database."""
        used = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while connection.execute(used, [name]).fetchone():
                time.sleep(0.005)

    def database_for(self, folder: Path) -> str:
        """The URL of an empty ledger, which is another test's when this one's folder is gone."""
        name = next((each for each, place in self._databases.items() if not place.exists()), "")
        if name:
            with psycopg.connect(self.url(name)) as connection:
                _empty(connection, self._first_rows[name])
        else:
            name = f"ledger_{len(self._databases) + 1}"
            self.execute(f"CREATE DATABASE {name}")
            open_ledger(self.url(name)).close()
            with psycopg.connect(self.url(name)) as connection:
                self._first_rows[name] = _rows(connection)
        self._databases[name] = folder
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        with tempfile.TemporaryFile() as said:  # a server that it starts keeps the file open
            done = subprocess.run(
                [*self._within, *as_user, str(self._bin / program), *arguments],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read().decode()}"


def send(number: signal.Signals, processes: list[int]) -> None:
    """Send a signal to those of these processes that are still there."""
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, number)


def is_dead(process: int) -> bool:
    """Whether a process has ended, though nobody has asked for its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return [name for (name,) in found]


def _rows(connection: psycopg.Connection[Any]) -> Rows:
    return {each: connection.execute(f"TABLE {each}").fetchall() for each in _tables(connection)}


def held(url: str) -> Rows:
    """All that the tables of a database hold."""
    with psycopg.connect(url) as connection:
        return _rows(connection)


def _empty(connection: psycopg.Connection[Any], first: Rows) -> None:
    """Have a ledger hold nothing but its first rows, and nobody else use it."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    triggers = connection.execute(
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
    )
    for name, table in triggers.fetchall():
        connection.execute(f"DROP TRIGGER {name} ON {table}")
    connection.execute(f"TRUNCATE {', '.join(_tables(connection))} RESTART IDENTITY")
    for table, rows in first.items():
        for row in rows:
            places = ", ".join("%s" for _ in row)
            connection.execute(f"INSERT INTO {table} VALUES ({places})", row)


@cache
def shared() -> Cluster:
    """The cluster of this process."""
    return Cluster()


def end() -> None:
    """Remove the cluster of this process, if it has one."""
    if shared.cache_info().currsize:
        shared().remove()
        shared.cache_clear()


def ledger_url(folder: Path) -> str:
    """The URL of an empty ledger for the test of a folder."""
    return shared().database_for(folder)


@contextmanager
def pooler(mode: str) -> Iterator[Callable[[str], str]]:
    """A PgBouncer before the cluster of this process, which lends its connections in this mode;
    what makes of a database's URL the one through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: pgbouncer)")
    cluster = shared()
    sockets = cluster.folder
    config = sockets / "pgbouncer.ini"
    config.write_text(
        f"""[databases]
        * = host={cluster.folder} user={_ROLE}
        [pgbouncer]
        listen_addr =
        listen_port = 6432
        unix_socket_dir = {sockets}
        auth_type = any
        pool_mode = {mode}
        max_client_conn = 50
        default_pool_size = 10
        ignore_startup_parameters = extra_float_digits,options
        logfile = {sockets}/pgbouncer.log
        """.replace("        ", "")
    )
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with subprocess.Popen([*as_user, program, "--quiet", str(config)]) as process:
        try:
            while not (sockets / ".s.PGSQL.6432").exists():
                assert process.poll() is None, (sockets / "pgbouncer.log").read_text()
                time.sleep(0.01)
            yield lambda url: f"{url}&port=6432"
        finally:
            process.terminate()
