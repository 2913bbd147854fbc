# SPDX-License-Identifier: BSD-3-Clause
"""The tables of who may ask: [policy] and [policy.group.NAME]."""

from collections.abc import Mapping

from ingest.config import values
from ingest.config.layout import named, setting
from ingest.config.values import DAY
from ingest.value import Value

# What may be required of a mail before its sender is believed.
_require = values.some_of("list", "patchwork", "authserv", "dkim")
_WHO = 'addresses, "@domain", "submitter", "maintainer" or "anyone"'


class GroupSettings(Value):
    """Senders who may ask for some labels."""

    senders: tuple[str, ...] = setting(values.senders, (), _WHO, needed=True)
    labels: tuple[str, ...] = setting(
        values.texts, (), "fnmatch patterns of the labels that they may ask for; empty: all"
    )
    require: tuple[str, ...] = setting(
        _require, (), "what must be proved of a mail before its sender counts as one of them"
    )


class ListSettings(Value):
    """A mailing list, and where its mail comes from."""

    list_id: str = setting(values.text, "", "its List-Id, like dev.dpdk.org", needed=True)
    hosts: tuple[str, ...] = setting(
        values.networks, (), "networks that its mail comes from", needed=True
    )
    author_fields: tuple[str, ...] = setting(
        values.texts,
        ("reply-to", "cc"),
        "fields in which the list keeps the author of a mail whose From it replaces by its own "
        "address; those of Mailman by default",
    )


class PolicySettings(Value):
    """Which requests are acted on, and who may ask."""

    max_age: float = setting(
        values.number,
        7 * DAY,
        "seconds; a request whose mail was older when it came goes to no command, webhook, check "
        "or answer, until retry --sink; 0: any age",
    )
    lists: tuple[str, ...] = setting(
        values.texts, (), "List-Ids of the lists that requests may come by; empty: any or none"
    )
    projects: tuple[str, ...] = setting(
        values.texts, (), "link names of the projects whose patches may be tested; empty: all"
    )
    senders: tuple[str, ...] = setting(
        values.senders,
        (),
        f"who may ask for any label: {_WHO}; empty: anyone, unless there are groups or "
        "submitter_labels",
    )
    submitter_labels: tuple[str, ...] = setting(
        values.texts, (), "fnmatch patterns of the labels that a patch's submitter may ask for"
    )
    states: tuple[str, ...] = setting(
        values.texts,
        (),
        'states of patches that are not tested, like "superseded", "rejected", "accepted", '
        '"changes-requested", "not-applicable", "archived"',
    )
    rate_sender: tuple[str, ...] = setting(
        values.rates, (), 'most requests of one sender, like "5 per hour"; several may be given'
    )
    rate_series: tuple[str, ...] = setting(values.rates, (), "most requests for one series")
    rate: tuple[str, ...] = setting(values.rates, (), "most requests in all")
    no_answer: tuple[str, ...] = setting(
        values.texts, (), "addresses that are sent no answer: people who asked for that"
    )
    require: tuple[str, ...] = setting(
        _require,
        (),
        'what must be proved of every mail that asks: its passage ("list", "patchwork"), its '
        'author ("authserv", "dkim")',
    )
    received_by: tuple[str, ...] = setting(
        values.texts,
        (),
        "names of our own mail server as its Received fields have them; the topmost one then tells "
        "which host a mail came from",
    )
    authserv: tuple[str, ...] = setting(
        values.texts,
        (),
        "authserv-ids of our own mail server, whose Authentication-Results are believed",
    )
    dkim: bool = setting(
        values.truth, False, "whether DKIM signatures are verified also if nothing requires them"
    )
    arc_sealers: tuple[str, ...] = setting(
        values.texts,
        (),
        "domains whose ARC seals are believed, like that of the list's server: what they found of "
        "the author counts as dkim",
    )
    dns: tuple[str, ...] = setting(
        values.name_servers,
        (),
        "name servers, address or address:port, asked for DKIM keys; empty: the system's",
    )
    dns_timeout: float = setting(
        values.positive, 3.0, "seconds that the keys of one mail may take to look up"
    )
    group: Mapping[str, GroupSettings] = named(GroupSettings)

    def required(self) -> frozenset[str]:
        """All that may have to be proved of a mail."""
        groups = (each for group in self.group.values() for each in group.require)
        return frozenset((*self.require, *groups))

    @property
    def proves_authors(self) -> bool:
        """Whether it is looked for who really wrote a mail."""
        by_dkim = self.dkim or self.arc_sealers or "dkim" in self.required()
        return bool(self.authserv or by_dkim)

    def refuses(self) -> bool:
        """Whether any request may be refused."""
        rates = (*self.rate_sender, *self.rate_series, *self.rate)
        who = (*self.senders, *self.submitter_labels, *self.group, *self.require)
        return bool(rates or who or self.lists or self.projects or self.states)
