# SPDX-License-Identifier: BSD-3-Clause
"""Settings: defaults < TOML < environment < flags, and errors that say what would be right."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load as config
from ingest.config import sink_tables, tables, values
from ingest.config.layout import settings_of
from ingest.config.load import load
from ingest.config.tables import Settings
from ingest.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    """Three values of a kind, wrong ones in TOML and in the environment, and what is said."""

    values: tuple[Any, Any, Any]
    bad: tuple[Any, ...]
    bad_texts: tuple[str, ...]
    right: str


NOT_A_NUMBER: tuple[Any, ...] = ("ten", "", [1], {}, True, -1, "-0.5", "nan", "inf", 10**400)
KINDS = {
    values.text: Kind(("/one", "/two", "/three"), (1, 1.5, True, ["a"], {}, "a\0b"), (), "a text"),
    values.url: Kind(
        ("http://one.example.org", "https://two.example.org/api", "http://127.0.0.1:8000"),
        (
            "",
            "patches.example.org",
            "ftp://example.org",
            "http://",
            "http://[::1",
            1,
            "http://a:b",
            "http://a b",
            "http://a\n",
        ),
        ("", "example.org", "http://a:99999", "http://a:0", "http://a b"),
        "a URL like https://patches.dpdk.org",
    ),
    values.number: Kind(
        (1, 2.5, 3.5), NOT_A_NUMBER, ("", "x", "1 2", "-1"), "a number, 0 or above"
    ),
    values.positive: Kind(
        (1.25, 2.5, 3.5), (*NOT_A_NUMBER, 0, 0.0), ("", "0", "-1", "1e999"), "a number above 0"
    ),
    values.whole: Kind(
        (70_000_000, 80_000_000, 90_000_000),
        (0, -1, 1.0, "", "1.5", "ten", True, [1], {}),
        ("", "0", "-1", "1.5", "0x10"),
        "a whole number above 0",
    ),
    values.count: Kind(
        (3, 1, 2),
        (-1, 1.0, "", "1.5", "ten", True, False, [1], {}),
        ("", "-1", "1.5", "0x10"),
        "a whole number, 0 or above",
    ),
    values.octal: Kind(
        (0o600, 0o640, 0o644),
        (0, -1, 644, 0o1000, 1.0, "", "8", "0o1000", "rw-r--r--", True, [0o600]),
        ("", "0", "648", "1000", "rw"),
        "permissions in octal, like 0o640",
    ),
    values.texts: Kind(
        (("unix:/1",), ("unix:/2", "unix:/3"), ("unix:/4",)),
        (1, [1], [["a"]], {"a": "b"}, True, ["a\0b"]),
        (),
        "a list of texts",
    ),
    values.numbers: Kind(
        ((1.0,), (2.0, 2.5), (3.0,)),
        (1, [], [0], [-1], [1, "x"], [[1]], True, {}, ""),
        ("", " ", "0", "1, x", "1; 2"),
        "a list of at least one number, each above 0",
    ),
    values.rates: Kind(
        (("5 per hour",), ("1 per minute", "20 per 7 days"), ("9 per week",)),
        (1, ["5"], ["0 per hour"], ["5 per 0 days"], ["5 per year"], [5], True, {}),
        ("5", "5 per hour 6 per day", "per hour"),
        'a list of rates, like "5 per hour" or "20 per 7 days"',
    ),
    values.seconds_by_pattern: Kind(
        (("iol-*=60",), ("iol-a=0", "*=1.5"), ("a=b=3600",)),
        (1, ["iol-a"], ["=60"], ["iol-a="], ["iol-a=-1"], ["iol-a=day"], [1], True, {}),
        ("iol-a", "iol-a=x", "iol-a=1 =2"),
        'a list of patterns and seconds, like "iol-*-Performance=604800"',
    ),
    values.senders: Kind(
        (("robin@example.org",), ("@example.org", "submitter"), ("anyone", "maintainer")),
        (1, ["robin"], ["a@"], ["@"], ["a@b@c"], [1], True, {}),
        ("robin", "anybody"),
        'a list of addresses, "@domain", "submitter", "maintainer" or "anyone"',
    ),
    values.address: Kind(
        ("ops@example.org", "root", "list-ops+1@example.org"),
        (1, True, [], "a b", "-t", "<a>", "a, b"),
        ("a b", "-t"),
        "one address, like ops@example.org, or the name of a user of this machine",
    ),
    values.networks: Kind(
        (("192.0.2.0/24",), ("192.0.2.1", "2001:db8::/32"), ("::1",)),
        (1, ["localhost"], ["192.0.2.0/33"], [1], True),
        ("example.org", "192.0.2.0/24 x"),
        "a list of networks, like 192.0.2.0/24 or 2001:db8::1",
    ),
    values.name_servers: Kind(
        (("192.0.2.53",), ("127.0.0.1:5353", "2001:db8::53"), ("[2001:db8::53]:53",)),
        (1, ["localhost"], ["ns.example.org:53"], ["192.0.2.53:0"], [""], [1], True),
        ("ns.example.org", "192.0.2.53:x"),
        'a list of name servers by address, like "192.0.2.53" or "[2001:db8::53]:5353"',
    ),
    values.choice("get_reruns", "pw-ci"): Kind(
        ("pw-ci", "pw-ci", "pw-ci"),
        ("", "PW-CI", 1, True, ["pw-ci"], {}),
        ("", "PW-CI"),
        '"get_reruns" or "pw-ci"',
    ),
    values.archive: Kind(
        (
            "https://a.example.org/{list}/{message_id}/",
            "http://b.example.org/{message_id}",
            "https://c.example.org/{list_id}/?id={message_id}",
        ),
        (1, True, [], "https://a.example.org", "{message_id}", "a.example.org/{message_id}"),
        ("https://a.example.org", "{list}"),
        "a URL with {message_id} in it, such as https://inbox.dpdk.org/{list}/{message_id}/",
    ),
    values.time_of_day: Kind(
        ("00:00", "23:59", "09:30"),
        (1, True, [], "7", "24:00", "07:60", "7:30", "07:00:00"),
        ("", "noon"),
        'a time of day, like "07:30"',
    ),
    values.optional_url: Kind(
        ("https://ci.example.org", "http://127.0.0.1:8080/recheck", "https://other.example.org"),
        (1, True, [], "ci.example.org", "ftp://ci.example.org", "https://a b"),
        ("ci.example.org", "http://"),
        "a URL like https://recheck.example.org",
    ),
    values.choice("text", "json"): Kind(
        ("json", "json", "json"),
        ("", "JSON", 1, True, ["json"], {}),
        ("", "yaml"),
        '"text" or "json"',
    ),
    values.choice("error", "warning", "info", "debug"): Kind(
        ("info", "debug", "error"),
        ("", "Info", 1, True, ["info"], {}),
        ("", "all"),
        '"error" or "warning" or "info" or "debug"',
    ),
    values.choice("offered", "required"): Kind(
        ("offered", "offered", "offered"),
        ("", "Offered", 1, True, ["offered"], {}),
        ("", "REQUIRED", "no"),
        '"offered" or "required"',
    ),
    values.choice("auto", "patchwork", "freedesktop"): Kind(
        ("patchwork", "freedesktop", "patchwork"),
        ("", "Auto", 1, True, ["auto"], {}),
        ("", "AUTO"),
        '"auto" or "patchwork" or "freedesktop"',
    ),
    values.choice("local", "open", "token"): Kind(
        ("open", "open", "open"),
        ("", "Open", 1, True, ["open"], {}),
        ("", "OPEN", "no"),
        '"local" or "open" or "token"',
    ),
    values.optional_url: Kind(
        ("http://one.example.org", "https://two.example.org/a", "http://127.0.0.1:8000"),
        (1, True, [], "example.org", "ftp://a", "http://a b"),
        ("example.org", "http://a:0", "http://a b"),
        "a URL like https://recheck.example.org",
    ),
    values.choice("text", "json"): Kind(
        ("json", "json", "json"),
        ("", "JSON", 1, True, ["json"], {}),
        ("", "JSON"),
        '"text" or "json"',
    ),
    values.choice("error", "warning", "info", "debug"): Kind(
        ("error", "info", "debug"),
        ("", "Info", 1, True, ["info"], {}),
        ("", "INFO", "2"),
        '"error" or "warning" or "info" or "debug"',
    ),
    values.machine: Kind(
        ("one", "lab-2", "a.b_C"),
        (1, True, [], {}, "a b", "a:b"),
        ("a b", "a:b", "x" * 101),
        "letters, digits, '.', '_' and '-', 100 at most",
    ),
    values.truth: Kind(
        (True, False, True), (1, "yes", ["true"], {}), ("yes", "1"), "true or false"
    ),
    values.some_of("list", "patchwork", "authserv", "dkim"): Kind(
        (("list",), ("list", "dkim"), ("patchwork", "authserv")),
        (1, ["List"], ["spf"], [1], True, {}),
        ("spf", "list spf"),
        'a list of "list", "patchwork", "authserv", "dkim"',
    ),
}
# Settings of which some values need another setting.
NARROW = {("digest", "mail"), ("smtp", "starttls"), ("lmtp", "starttls"), ("retests", "patchwork")}

SETTINGS = {
    (table, key): setting
    for (table,), content in config.places().plain.items()
    for key, setting in settings_of(content).items()
}


def by_table(settings: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The keys of these settings by their tables."""
    keys: dict[str, list[str]] = {}
    for table, key in sorted(settings):
        keys.setdefault(table, []).append(key)
    return keys


ALL = pytest.mark.parametrize(("table", "keys"), by_table(SETTINGS).items())
WIDE = pytest.mark.parametrize(("table", "keys"), by_table(SETTINGS.keys() - NARROW).items())
HOME = {"HOME": "/home/robin"}


def kind_of(table: str, key: str) -> Kind:
    return KINDS[SETTINGS[table, key].metadata["read"]]


def variable(table: str, key: str) -> str:
    return f"RECHECK_INGEST_{table}_{key}".upper()


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def in_environment(kind: values.Reader, value: Any) -> str:
    if kind is values.octal:
        return f"{value:o}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An empty configuration, so that the machine's own is not read."""
    path = tmp_path / "recheck.toml"
    path.touch()
    return path


def loaded(
    file: Path,
    text: str = "",
    environment: Mapping[str, str] = HOME,
    flags: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load(flags, file=str(file), environment=environment)


def refused(
    file: Path,
    text: str = "",
    environment: Mapping[str, str] = HOME,
    flags: Mapping[tuple[str, str], Any] | None = None,
) -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(file, text, environment, flags)
    return str(raised.value)


@WIDE
def test_flags_go_before_the_environment_before_the_file_before_defaults(
    file: Path, table: str, keys: list[str]
) -> None:
    for key in keys:
        setting = SETTINGS[table, key]
        low, middle, high = kind_of(table, key).values
        text = f"[{table}]\n{key} = {toml(low)}\n"
        environment = {
            **HOME,
            variable(table, key): in_environment(setting.metadata["read"], middle),
        }
        flags = {(table, key): high}
        results = [
            loaded(file, text),
            loaded(file, text, environment),
            loaded(file, text, environment, flags),
            loaded(file, text, flags=flags),
            loaded(file, "", environment),
        ]
        held = [getattr(getattr(result, table), key) for result in results]
        assert held == [low, middle, high, high, middle], key
        default = getattr(getattr(loaded(file), table), key)
        assert default == setting.default or (table, key) in {
            ("state", "dir"),
            ("state", "ledger"),
            ("state", "spool"),
            ("retests", "file"),
        }


@WIDE
def test_no_other_setting_changes_with_one(file: Path, table: str, keys: list[str]) -> None:
    for key in keys:
        before = loaded(file)
        value = kind_of(table, key).values[0]
        after = loaded(file, f"[{table}]\n{key} = {toml(value)}\n")
        changed = {
            (t, k)
            for t, k in SETTINGS
            if getattr(getattr(before, t), k) != getattr(getattr(after, t), k)
        }
        also = {("state", "ledger"), ("state", "spool"), ("retests", "file")}
        also = also if (table, key) == ("state", "dir") else set()
        assert changed == {(table, key)} | also


@ALL
def test_a_wrong_value_in_the_file_is_refused(file: Path, table: str, keys: list[str]) -> None:
    for key in keys:
        kind = kind_of(table, key)
        for bad in kind.bad:
            message = refused(file, f"[{table}]\n{key} = {toml(bad)}\n")
            assert message == f"{file}: [{table}] {key} is {bad!r}, but must be {kind.right}"


@ALL
def test_a_wrong_value_in_the_environment_is_refused(
    file: Path, table: str, keys: list[str]
) -> None:
    for key in keys:
        kind, name = kind_of(table, key), variable(table, key)
        for bad in kind.bad_texts:
            message = refused(file, environment={**HOME, name: bad})
            assert message == f"${name} is {bad!r}, but must be {kind.right}"


@ALL
def test_a_wrong_value_of_a_flag_is_refused(file: Path, table: str, keys: list[str]) -> None:
    for key in keys:
        kind = kind_of(table, key)
        for bad in kind.bad:
            message = refused(file, flags={(table, key): bad})
            assert (
                message == f"[{table}] {key}, given by a flag, is {bad!r}, but must be {kind.right}"
            )


BROKEN: dict[str, tuple[str, str]] = {
    "no TOML": ("hello", "is not valid TOML: "),
    "an open text": ('[patchwork]\nurl = "x\n', "is not valid TOML: "),
    "a key given twice": ("[state]\ndir = 'a'\ndir = 'b'\n", "is not valid TOML: "),
    "a table given twice": ("[state]\n[state]\n", "is not valid TOML: "),
    "a number of thousands of digits": (
        f"[state]\nkeep_days = {'9' * 5000}\n", "is not valid TOML: ",
    ),
    "nested for ever": (f"a = {'[' * 10_000}", "is not valid TOML: "),
    "an unknown table": (
        "[patchworks]\n",
        "there is no table [patchworks] (did you mean patchwork?); the tables are [patchwork], ",
    ),
    "a setting without a table": ("url = 'http://x'\n", "there is no table [url]; the tables are "),
    "a table that is a number": ("patchwork = 1\n", "patchwork is 1, but must be a table"),
    "a table that is a list": ("[[state]]\n", "state is [{}], but must be a table, [state]"),
    "an unknown setting": (
        "[state]\nfolder = 'a'\n",
        "[state] has no setting 'folder' (did you mean ledger?); it has dir, ledger, keep_days, ",
    ),
    "a setting of another table": (
        "[retests]\nurl = 'a'\n", "[retests] has no setting 'url'; it has file, mode",
    ),
    "a setting in capitals": (
        "[state]\nDir = 'a'\n", "[state] has no setting 'Dir' (did you mean dir?); it has dir, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused(file: Path, text: str, message: str) -> None:
    told = refused(file, text)
    assert told.startswith(str(file))
    assert message in told


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"[state]\ndir = '\xff'\n")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(file=str(file), environment=HOME)


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    for file, environment in (
        (str(missing), HOME),
        (None, {**HOME, "RECHECK_INGEST_CONFIG": str(missing)}),
    ):
        with pytest.raises(ConfigError) as raised:
            load(file=file, environment=environment)
        assert str(raised.value) == f"{missing} cannot be read: No such file or directory"


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(file=str(tmp_path), environment=HOME)
    assert str(raised.value) == f"{tmp_path} cannot be read: Is a directory"


def test_a_named_file_goes_before_that_of_the_environment(tmp_path: Path) -> None:
    named, other = tmp_path / "named.toml", tmp_path / "other.toml"
    named.write_text("[state]\nkeep_days = 1\n")
    other.write_text("[state]\nkeep_days = 2\n[pipe]\nbudget = 2\n")
    environment = {**HOME, "RECHECK_INGEST_CONFIG": str(other)}
    first = load(file=str(named), environment=environment)
    assert (first.state.keep_days, first.origin) == (1, str(named))
    assert first.pipe.budget == SETTINGS["pipe", "budget"].default
    second = load(environment=environment)
    assert (second.state.keep_days, second.origin) == (2, str(other))


def test_an_empty_file_changes_nothing(file: Path) -> None:
    assert loaded(file).patchwork == tables.PatchworkSettings()
    assert loaded(file, "[patchwork]\n[requests]\n").requests == tables.RequestsSettings()


def test_other_variables_are_left_alone(file: Path) -> None:
    assert loaded(file, environment={**HOME, "RECHECK_INGEST_NOTHING": "1"}) == loaded(file)


def test_variables_that_name_no_setting_are_told_apart() -> None:
    names = [
        *("RECHECK_INGEST_CONFIG", "RECHECK_INGEST_STATE_DIR", "RECHECK_INGEST_CATCH_UP_INTERVAL"),
        *("RECHECK_INGEST_WEBHOOK_MY_LAB_URL", "RECHECK_INGEST_JSON_FILE_ARM_FILE", "RECHECK_ID"),
    ]
    wrong = [
        *("RECHECK_INGEST_PATCHWORK_ULR", "RECHECK_INGEST_STATEDIR", "RECHECK_INGEST_"),
        *("RECHECK_INGEST_WEBHOOK_URL", "RECHECK_INGEST_COMMAND_LAB_URL"),
    ]
    assert config.unknown(dict.fromkeys(names + wrong, "")) == sorted(wrong)


STATE: dict[str, tuple[str, dict[str, str], str]] = {
    "the home": ("", {"HOME": "/h"}, "/h/.local/state/recheck-ingest"),
    "the user's state": ("", {"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/recheck-ingest"),
    "no home": ("", {"XDG_STATE_HOME": "/x"}, "/x/recheck-ingest"),
    "an empty user's state": (
        "", {"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/recheck-ingest",
    ),
    "systemd": ("", {"HOME": "/h", "XDG_STATE_HOME": "/x", "STATE_DIRECTORY": "/s"}, "/s"),
    "systemd with several": ("", {"STATE_DIRECTORY": "/s:/t"}, "/s"),
    "the file": ("[state]\ndir = '/f'", {"HOME": "/h", "STATE_DIRECTORY": "/s"}, "/f"),
    "the environment": (
        "[state]\ndir = '/f'", {"STATE_DIRECTORY": "/s", "RECHECK_INGEST_STATE_DIR": "/e"}, "/e",
    ),
    "a relative one": ("[state]\ndir = 'f'", {}, str(Path("f").absolute())),
}  # fmt: skip


@pytest.mark.parametrize(("text", "environment", "folder"), STATE.values(), ids=STATE)
def test_where_state_is_kept(
    file: Path, text: str, environment: dict[str, str], folder: str
) -> None:
    settings = loaded(file, text, environment)
    assert settings.state.dir == folder
    assert settings.state.ledger == f"sqlite:{folder}/ledger.sqlite"
    assert settings.retests.file == f"{folder}/retests.json"


def test_nowhere_to_keep_state_is_refused(file: Path) -> None:
    told = refused(file, environment={})
    assert "nowhere to keep state" in told
    assert all(way in told for way in ("[state] dir", "--state", "$STATE_DIRECTORY"))


def test_files_outside_the_state_folder_stay_where_they_are_named(file: Path) -> None:
    text = "[state]\ndir = '/s'\nledger = 'sqlite:/l'\n[retests]\nfile = '/r.json'\n"
    settings = loaded(file, text, {})
    assert (settings.state.ledger, settings.retests.file) == ("sqlite:/l", "/r.json")


@pytest.mark.parametrize("text", ["a b", "a,b", "a, b", " a ,\n b, "])
def test_a_list_in_the_environment_is_parted_by_commas_or_blanks(file: Path, text: str) -> None:
    environment = {**HOME, "RECHECK_INGEST_REQUESTS_CONTEXTS": text}
    assert loaded(file, environment=environment).requests.contexts == ("a", "b")


def test_an_empty_list_in_the_environment_takes_the_default_away(file: Path) -> None:
    environment = {**HOME, "RECHECK_INGEST_REQUESTS_ARGUMENTS": ""}
    assert loaded(file, environment=environment).requests.arguments == ()


def test_permissions_are_octal_however_they_are_written(file: Path) -> None:
    for written in ("0o640", "'640'", "'0o640'", "416"):
        assert loaded(file, f"[state]\nmode = {written}\n").state.mode == 0o640


@ALL
def test_a_default_is_a_value_that_could_be_set(file: Path, table: str, keys: list[str]) -> None:
    for key in keys:
        setting = SETTINGS[table, key]
        assert setting.metadata["help"], key
        held = getattr(getattr(loaded(file, flags={(table, key): setting.default}), table), key)
        assert held == setting.default or setting.default == "", key


SINK_TABLES = """
[webhook.jenkins]
url = "https://ci.example.org/hook"
contexts = ["iol-*"]
retry = [1, 2]
[webhook.git-hub]
url = "https://git.example.org/hook"
[command.log]
program = ["/usr/bin/logger", "-t", "recheck"]
"""


def test_there_are_several_sinks_of_a_kind_each_by_its_name(file: Path) -> None:
    settings = loaded(file, SINK_TABLES)
    assert settings.webhook == {
        "git-hub": sink_tables.WebhookSettings(url="https://git.example.org/hook"),
        "jenkins": sink_tables.WebhookSettings(
            url="https://ci.example.org/hook", contexts=("iol-*",), retry=(1.0, 2.0)
        ),
    }
    assert settings.command["log"].program == ("/usr/bin/logger", "-t", "recheck")
    assert not any((settings.check, settings.mail, settings.json_file))


def test_a_sink_can_be_set_by_the_environment_alone_or_over_the_file(file: Path) -> None:
    variables = {
        "WEBHOOK_GIT_HUB_URL": "https://other.example.org/",
        "MAIL_ANSWERS_SENDER": "lab@lab.example.org",
        "MAIL_ANSWERS_STARTTLS": "true",
        "JSON_FILE_B_FILE": "/srv/b.json",
        "CHECK_OURS_TOKEN_FILE": "/etc/token",
    }
    environment = {f"RECHECK_INGEST_{name}": value for name, value in variables.items()}
    settings = loaded(file, SINK_TABLES, {**HOME, **environment})
    assert settings.webhook["git-hub"].url == "https://other.example.org/"
    assert settings.webhook["jenkins"].url == "https://ci.example.org/hook"
    assert settings.mail == {
        "answers": sink_tables.MailSettings(sender="lab@lab.example.org", starttls=True)
    }
    assert settings.json_file == {"b": sink_tables.JsonFileSettings(file="/srv/b.json")}
    assert settings.check == {"ours": sink_tables.CheckSettings(token_file="/etc/token")}


BAD_SINKS: dict[str, tuple[str, str]] = {
    "no name": ("[webhook]\nurl = 'https://a/'\n", "a webhook has a name: write [webhook.NAME]"),
    "no table": ("webhook = 1\n", "a webhook has a name: write [webhook.NAME]"),
    "nothing that it needs": ("[webhook.a]\n", "[webhook.a] needs url"),
    "an empty program": ("[command.a]\nprogram = []\n", "[command.a] needs program"),
    "another setting": (
        "[mail.a]\nsender = 'a@b'\nto = 'c'\n", "[mail.a] has no setting 'to'; it has contexts, ",
    ),
    "a wrong value": (
        "[command.a]\nprogram = ['x']\ntimeout = 0\n",
        "[command.a] timeout is 0, but must be a number above 0",
    ),
    "no truth": (
        "[mail.a]\nsender = 'a@b'\nstarttls = 'yes'\n",
        "[mail.a] starttls is 'yes', but must be true or false",
    ),
    "a name that is none": (
        "[command.\"a/b\"]\nprogram = ['x']\n",
        "[command.a/b]: a name is made of the letters a to z, digits, and single hyphens",
    ),
    "a server that is not there": (
        "[patchwork.fdo]\nurl = 'http://x'\nlists = ['a']\n[retests]\npatchwork = 'fd'\n",
        "[retests] patchwork: there is no [patchwork.fd] (did you mean fdo?)",
    ),
    "a server for no list": (
        "[patchwork.fdo]\nurl = \"https://fdo.example.org\"\n",
        "[patchwork.fdo] needs lists or projects: without them no mail is looked up there",
    ),
    "another choice": (
        "[check.a]\ntoken_file = 't'\ncover = 'first'\n",
        '[check.a] cover is \'first\', but must be "all" or "last"',
    ),
    "the retest JSON again": (
        "[retests]\nfile = '/r.json'\n[json_file.a]\nfile = '/x/../r.json'\n",
        "[json_file.a] file is that of another table: /x/../r.json",
    ),
    "one file twice": (
        "[json_file.a]\nfile = '/a'\n[json_file.b]\nfile = '/a'\n",
        "[json_file.a] file is that of another table: /a",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), BAD_SINKS.values(), ids=BAD_SINKS)
def test_a_sink_that_makes_no_sense_is_refused(file: Path, text: str, told: str) -> None:
    assert told in refused(file, text)
