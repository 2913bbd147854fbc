# SPDX-License-Identifier: BSD-3-Clause
"""procmail, maildrop and Sieve with the files of contrib: list mail comes in, failures defer."""

import shutil

import pytest

from tests.e2e.conftest import NOBODY, Lab, example, request
from tests.support.breakages import BREAKAGES, Breakage
from tests.support.installation import become
from tests.support.parts import require

DONE = {"29430": ["iol-a"]}
OTHER = request("iol-a").replace(b"<ci.dpdk.org>", b"<users.dpdk.org>")
EX_TEMPFAIL = 75


class Agent:
    """A mail filter with a file of rules that ends in delivery to an inbox."""

    def __init__(self, lab: Lab, command: list[str], rules: str) -> None:
        """``command`` is completed by the path of the rules."""
        self._lab = lab
        self._inbox = lab.paths.state / "inbox"
        file = lab.paths.state / "rules"
        file.write_text(rules.format(inbox=self._inbox))
        shutil.chown(file, NOBODY, become(NOBODY)["group"])
        file.chmod(0o600)
        self._file = lab.paths.folder / "rules"
        file.replace(self._file)
        self._command = [*command, str(self._file)]

    def filter(self, mail: bytes) -> int:
        """Hand it a mail; its exit code."""
        return self._lab.run(*self._command, mail=mail).returncode

    def inbox(self) -> str:
        return self._inbox.read_text() if self._inbox.exists() else ""


def procmail(lab: Lab) -> Agent:
    """It clears its environment but for what its arguments set."""
    settings = {
        "RECHECK_INGEST": lab.paths.program,
        "RECHECK_STATE": lab.paths.state,
        "RECHECK_INGEST_CONFIG": lab.paths.settings,
    }
    given = [f"{name}={value}" for name, value in settings.items()]
    rules = example("contrib/procmail/recheck-ingest.rc", lab.paths)
    inbox = "\n:0:\n{inbox}\n"
    return Agent(lab, [require("procmail"), "-m", *given], _verbatim(rules) + inbox)


def maildrop(lab: Lab) -> Agent:
    """It clears its environment, too."""
    settings = f'RECHECK_INGEST_CONFIG="{lab.paths.settings}"\n'
    rules = example("contrib/maildrop/mailfilter.example", lab.paths)
    return Agent(lab, [require("maildrop")], settings + _verbatim(rules) + 'to "{inbox}"\n')


def _verbatim(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@pytest.fixture(params=[procmail, maildrop])
def agent(lab: Lab, request: pytest.FixtureRequest) -> Agent:
    made: Agent = request.param(lab)
    return made


def test_list_mail_reaches_the_retest_json(lab: Lab, agent: Agent) -> None:
    assert agent.filter(request("iol-a")) == 0
    assert lab.retests() == DONE
    assert agent.inbox() == ""


def test_other_mail_goes_on_to_the_inbox(lab: Lab, agent: Agent) -> None:
    assert agent.filter(OTHER) == 0
    assert lab.retests() == {}
    assert "Recheck-request: iol-a" in agent.inbox()


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_the_mail_server_is_told_to_try_again_while(
    lab: Lab, agent: Agent, breakage: Breakage
) -> None:
    with breakage(lab):
        assert agent.filter(request("iol-a")) == EX_TEMPFAIL
    assert agent.inbox() == ""
    assert agent.filter(request("iol-a")) == 0
    assert lab.retests() == DONE


@pytest.mark.parametrize(
    ("mail", "where"), [(request("iol-a"), "recheck"), (OTHER, "INBOX")], ids=["list", "other"]
)
def test_sieve_puts_list_mail_into_a_mailbox_of_its_own(lab: Lab, mail: bytes, where: str) -> None:
    place = lab.paths.state
    (place / "dovecot.conf").write_text(f"mail_location = maildir:{place}/Maildir\n")
    (place / "mail").write_bytes(mail)
    script = place / "recheck-ingest.sieve"
    script.write_text(example("contrib/sieve/recheck-ingest.sieve", lab.paths))
    done = lab.run(
        require("sieve-test"), "-c", place / "dovecot.conf", script, place / "mail",
        environment={"HOME": str(place)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"store message in folder: {where}" in done.stdout.decode()
