# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest quickstart``: the steps that set the program up on this machine.

``plan`` makes them, purely, of what the machine has; printed they are commands to copy.
``apply`` takes them one after the other and takes them back if one fails.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.commands import guides, machine
from ingest.commands.machine import Machine
from ingest.errors import EX_OK, EX_TEMPFAIL, BadInput, UsageError

USER = "recheck-ingest"
STATE = "/var/lib/recheck-ingest"
CONFIG = "/etc/recheck-ingest.toml"
ALIASES = "/etc/recheck-ingest/aliases"
UNIT = "/etc/systemd/system/recheck-ingest.service"
CRON = "/etc/cron.d/recheck-ingest"

# How mail comes in.
ALIAS, EVENTS = "alias", "events"

_UNIT_PROGRAM = "/usr/local/bin/recheck-ingest"
# Where no other user may run a program from.
_PRIVATE = ("/root/", "/home/")
_EVENTS = """
[catch_up]
# Seconds between two questions to Patchwork for new comments.
interval = 300
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a ``command`` to run, taken back by ``undo``, or a ``file`` of ours to
    write, or a ``folder`` to make. ``done``: there is nothing to do, and why; ``foreign``: it
    changes what belongs to another program."""

    title: str
    command: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    file: str = ""
    content: str = ""
    folder: str = ""
    mode: int = 0o644
    owner: str = "root"
    foreign: bool = False
    done: str = ""


def best_way(found: Machine) -> str:
    """How mail comes in if nobody says: by an alias where Postfix is, else not as mail at all."""
    return ALIAS if found.mail_server == "postfix" else EVENTS


def plan(found: Machine, way: str, address: str) -> list[Step]:
    """The steps for this machine. ``address``: the local part that will be subscribed to the
    list. Raises ``UsageError`` if the machine lacks what the way needs."""
    if way != EVENTS and found.mail_server != "postfix":
        raise UsageError(
            f"--way {way} needs Postfix, and this machine has {found.mail_server or 'none'}; see "
            "recheck-ingest help mail-servers for Exim and others, or take --way events"
        )
    if found.program.startswith(_PRIVATE):
        raise UsageError(
            f"the program is {found.program}, where the user {USER} cannot run it: install it "
            "for everybody, such as by python3 -m venv /opt/recheck-ingest, and call it from there"
        )
    if not address.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--address {address!r} is not a local part like recheck")
    steps = [*_user(found), *_configuration(found, way)]
    if way == ALIAS:
        steps += _alias(found, address)
    return [*steps, *(_service(found) if found.systemd else _cron(found, way))]


def _user(found: Machine) -> Iterator[Step]:
    prefix = () if found.root == Path("/") else ("--prefix", str(found.root))
    yield Step(
        "a user of its own, which everything runs as",
        command=(
            *("useradd", *prefix, "--system", "--user-group", "--home-dir", STATE),
            *("--no-create-home", "--shell", "/usr/sbin/nologin", USER),
        ),
        undo=("userdel", *prefix, USER),
        done=f"{USER} is there" if USER in found.users else "",
    )
    yield Step(
        "the folder of its state",
        folder=STATE,
        mode=0o2770,
        owner=USER,
        done=f"{STATE} is there" if found.has(STATE) else "",
    )


def _configuration(found: Machine, way: str) -> Iterator[Step]:
    content = f'[state]\ndir = "{STATE}"\n' + (_EVENTS if way == EVENTS else "")
    kept = f"{CONFIG} is there and stays as it is; these lines are needed in it:\n{content}"
    yield Step(
        "the configuration",
        file=CONFIG,
        content=content,
        done=kept if found.has(CONFIG) else "",
    )


def alias_line(address: str, program: str) -> str:
    """The line of aliases(5) that runs the pipe: every failure becomes a delay, and the one line
    that the pipe says of it goes to the system's log."""
    return (
        f'{address}: "|e=$(timeout 300 {program} pipe --state {STATE} 2>&1 >/dev/null); r=$?; '
        '[ -z \\"$e\\" ] || logger -t recheck-ingest -- \\"$e\\"; [ $r = 0 ] || exit 75"'
    )


def _alias(found: Machine, address: str) -> Iterator[Step]:
    content = f"{alias_line(address, found.program)}\nowner-{address}: postmaster\n"
    folder = str(Path(ALIASES).parent)
    yield Step(
        "the folder of its aliases (postalias works with the rights of the file's owner)",
        folder=folder,
        mode=0o755,
        owner=USER,
        done=f"{folder} is there" if found.has(folder) else "",
    )
    yield Step(
        f"the alias: local(8) runs it as the owner of this file, {USER}",
        file=ALIASES,
        content=content,
        owner=USER,
        done=f"{ALIASES} is there and stays as it is" if found.has(ALIASES) else "",
    )
    path = found.at(ALIASES)
    maps = f"{found.alias_maps}, hash:{ALIASES}".removeprefix(", ")
    named = ALIASES in found.alias_maps
    yield Step(
        "the alias in the form that Postfix looks it up in",
        command=("postalias", f"hash:{path}"),
        undo=("rm", "-f", f"{path}.db"),
        done=f"{ALIASES}.db is there" if found.has(f"{ALIASES}.db") else "",
    )
    yield Step(
        f"Postfix is told of the file; alias_maps was: {found.alias_maps}",
        command=tuple(machine.postconf(found.root, "-e", f"alias_maps = {maps}")),
        undo=tuple(machine.postconf(found.root, "-e", f"alias_maps = {found.alias_maps}")),
        foreign=True,
        done="alias_maps names it" if named else "",
    )
    if found.root == Path("/"):
        yield Step("Postfix reads its settings again", command=("postfix", "reload"))


def _service(found: Machine) -> Iterator[Step]:
    unit = (guides.folder() / "contrib" / "systemd" / "recheck-ingest.service").read_text()
    yield Step(
        "the service: worker, sinks and listeners",
        file=UNIT,
        content=unit.replace(_UNIT_PROGRAM, found.program),
        done=f"{UNIT} is there and stays as it is" if found.has(UNIT) else "",
    )
    if found.root == Path("/"):
        yield Step("systemd reads its units again", command=("systemctl", "daemon-reload"))
        yield Step(
            "the service starts now and at every boot",
            command=("systemctl", "enable", "--now", "recheck-ingest"),
            undo=("systemctl", "disable", "--now", "recheck-ingest"),
        )


def _cron(found: Machine, way: str) -> Iterator[Step]:
    minutes, task = ("*/5", "catch-up") if way == EVENTS else ("*", "work --once")
    yield Step(
        "without systemd, cron works off what waits",
        file=CRON,
        content=f"{minutes} * * * * {USER} {found.program} {task}\n",
        done=f"{CRON} is there and stays as it is" if found.has(CRON) else "",
    )


def text(steps: list[Step], found: Machine, address: str) -> str:
    """The steps as commands to copy, what is done already as remarks, and what is left to do."""
    parts = [f"# This machine: {_described(found)}.\n"]
    for step in steps:
        remark = "\n".join(f"# {line}" for line in step.done.splitlines())
        parts.append(f"# {step.title}\n" + (f"{remark}\n" if remark else as_commands(step, found)))
    parts.append(f"# Then:\n{after(found, address)}")
    return "\n".join(parts)


def after(found: Machine, address: str) -> str:
    """What only a person can do."""
    mail = f"#   subscribe {address} at this host to the lists\n" if found.mail_server else ""
    test = f" --send-test {address}" if found.mail_server == "postfix" else ""
    return f"{mail}{shlex.quote(found.program)} check{test}\n"


def as_commands(step: Step, found: Machine) -> str:
    """A step as a shell takes it."""
    if step.command:
        return f"{shlex.join(step.command)}\n"
    path = shlex.quote(str(found.at(step.folder or step.file)))
    owner, mode = f"-o {step.owner} -g {step.owner}", f"-m {step.mode:o}"
    if step.folder:
        return f"install -d {owner} {mode} {path}\n"
    return f"install {owner} {mode} /dev/stdin {path} <<'END'\n{step.content}END\n"


def _described(found: Machine) -> str:
    parts = [found.mail_server.capitalize() or "no mail server"]
    parts += ["procmail"] if found.procmail else []
    return ", ".join([*parts, "systemd" if found.systemd else "no systemd"])


def apply(
    steps: list[Step],
    found: Machine,
    *,
    say: Callable[[str], None] = print,
    may: Callable[[Step], bool],
) -> int:
    """Take the steps, and take back those that were taken if one fails; the exit code.

    ``say`` is called with a line for a person; ``may`` is asked before each step.
    """
    taken: list[Callable[[], None]] = []
    for step in steps:
        if step.done:
            say(f"– {step.title}: {step.done.splitlines()[0]}")
            continue
        if not may(step):
            say(f"stopped before: {step.title}")
            return _take_back(taken, say)
        try:
            # What is half done by a step that fails is taken back, too.
            taken.append(_undoing(step, found))
            _take(step, found)
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", "") or error
            say(f"✗ {step.title}: {str(detail).strip()}")
            return _take_back(taken, say)
        say(f"✓ {step.title}")
    return EX_OK


def _take(step: Step, found: Machine) -> None:
    if step.command:
        subprocess.run(step.command, check=True, capture_output=True, text=True)
        return
    # A user that an earlier step has made is not among those that were found at the start.
    user, group = machine.look(found.root).users[step.owner]
    path = found.at(step.folder or step.file)
    if step.folder:
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(step.content)
    os.chown(path, user, group)
    os.chmod(path, step.mode)


def _undoing(step: Step, found: Machine) -> Callable[[], None]:
    def undo() -> None:
        if step.undo:
            subprocess.run(step.undo, check=False, capture_output=True)
        elif step.file:
            found.at(step.file).unlink(missing_ok=True)
        elif step.folder:
            with suppress(OSError):  # what somebody has put into it stays
                found.at(step.folder).rmdir()

    return undo


def _take_back(taken: list[Callable[[], None]], say: Callable[[str], None]) -> int:
    for undo in reversed(taken):
        undo()
    if taken:
        say("what was done before was undone")
    return EX_TEMPFAIL


def main(*, root: str, way: str | None, address: str, really: bool, yes: bool) -> int:
    """The command; its exit code. ``really``: apply the steps; ``yes``: without asking."""
    if not Path(root, "etc", "passwd").is_file():
        raise BadInput(f"{root} is not the root folder of a machine: it has no etc/passwd")
    found = machine.look(Path(root))
    steps = plan(found, way or best_way(found), address)
    if not really:
        print(text(steps, found, address), end="")
        return EX_OK
    if os.geteuid():
        raise UsageError("quickstart --apply changes the system: run it as root")

    def may(step: Step) -> bool:
        whose = " (changes a file of another program)" if step.foreign else ""
        print(f"\n{step.title}{whose}:\n{as_commands(step, found)}", end="")
        return yes or input("do this? [y/N] ").strip().lower() in ("y", "yes")

    code = apply(steps, found, may=may)
    if code == EX_OK:
        print(f"\nleft to do:\n{after(found, address)}", end="")
    return code
