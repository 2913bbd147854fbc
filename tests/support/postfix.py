# SPDX-License-Identifier: BSD-3-Clause
"""A private Postfix on loopback: own configuration, queue and log; no DNS, no way out."""

import re
import shutil
import smtplib
import socket
import subprocess
from pathlib import Path
from random import randrange

from tests.support.parts import eventually, require

DOMAIN = "lab.example.org"
# Where a list gets its bounces: the envelope sender of every mail sent here.
LIST = f"list-bounces@{DOMAIN}"

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.{domain}
mydestination = {domain}
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
default_transport = error:no outbound
alias_maps = hash:{folder}/aliases
smtpd_peername_lookup = no
maximal_backoff_time = 4000s
# A way to hand over settings that are no flags; $PATH and others are set by Postfix itself.
export_environment = TZ MAIL_CONFIG LANG RECHECK_INGEST_CONFIG={folder}/recheck-ingest.toml
"""
_SERVICE = re.compile(r"^(\S+\s+\S+\s+\S+\s+\S+\s+)\S+", re.MULTILINE)


def free_port() -> int:
    """A port of loopback that nobody listens on now, and that the kernel gives to nobody who asks
    for any port: tests that run beside this one do."""
    while True:
        port = randrange(20_000, 32_768)  # below net.ipv4.ip_local_port_range
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Postfix:
    """One instance, in a folder of its own that others may enter."""

    def __init__(self, folder: Path, main: str, master: str, aliases: str, transport: str) -> None:
        """``main``, ``master``: what is added to the files of these names; ``aliases``,
        ``transport``: the whole files."""
        self.folder = folder
        self.port = free_port()
        self.config = folder / "etc"
        self.list_mail = folder / "mail" / "list"
        self.postmaster_mail = folder / "mail" / "postmaster"
        self._log = folder / "mail.log"
        self._configure(main, master, aliases, transport)

    def _configure(self, main: str, master: str, aliases: str, transport: str) -> None:
        self.config.mkdir()
        (self.folder / "queue").mkdir()
        (self.folder / "data").mkdir()
        shutil.chown(self.folder / "data", "postfix")
        self.list_mail.parent.mkdir()
        shutil.chown(self.list_mail.parent, "nobody")
        (self.config / "main.cf").write_text(_MAIN.format(folder=self.folder, domain=DOMAIN) + main)
        (self.config / "master.cf").write_text(self._services() + master)
        (self.folder / "aliases").write_text(
            f"{aliases}\npostmaster: {self.postmaster_mail}\nlist-bounces: {self.list_mail}\n"
        )
        (self.folder / "transport").write_text(transport)
        self._run("postalias", f"hash:{self.folder}/aliases")
        self._run("postmap", f"hash:{self.folder}/transport")

    def _services(self) -> str:
        """The distribution's master.cf: SMTP on our port, nothing chrooted."""
        services = Path("/usr/share/postfix/master.cf.dist").read_text()
        plain = _SERVICE.sub(r"\g<1>n", re.sub(r"^#.*\n", "", services, flags=re.M))
        ours = re.sub(r"^smtp(\s+inet)", rf"127.0.0.1:{self.port}\1", plain, flags=re.M)
        return ours.rstrip() + "\n"

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [require(program), "-c", str(self.config), *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("postfix", "start")
        eventually(self._answers, "Postfix answers")

    def _answers(self) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, local_hostname="localhost"):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """Stop it at once."""
        self._run("postfix", "abort")

    def send(self, user: str, mail: bytes, sender: str = LIST) -> str:
        """Hand over a mail to ``user`` by SMTP; its queue id."""
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="localhost") as client:
            client.ehlo()
            client.mail(sender)
            code, reply = client.rcpt(f"{user}@{DOMAIN}")
            assert code == 250, reply
            code, reply = client.data(mail)
            assert code == 250, reply
        return reply.decode().rpartition(" ")[2]

    def bounces(self) -> list[str]:
        """All the mail that the list or the postmaster was sent."""
        mailboxes = (self.list_mail, self.postmaster_mail)
        return [box.read_text() for box in mailboxes if box.exists()]

    def log(self) -> str:
        """Everything it has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def fates(self, queue_id: str) -> list[str]:
        """What has become of a mail at each attempt: sent, deferred, bounced."""
        return re.findall(rf" {queue_id}: .*\bstatus=(\w+)", self.log())

    def fate(self, queue_id: str, attempt: int = 1) -> str:
        """What becomes of a mail at this attempt, which is waited for."""
        eventually(lambda: len(self.fates(queue_id)) >= attempt, f"attempt {attempt} at {queue_id}")
        return self.fates(queue_id)[attempt - 1]

    def queue(self) -> set[str]:
        """The ids of the mails that wait."""
        return set(re.findall(r'"queue_id": "(\w+)"', self._run("postqueue", "-j")))

    def flush(self) -> None:
        """Try again now what waits."""
        self._run("postqueue", "-f")
