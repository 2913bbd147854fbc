# SPDX-License-Identifier: BSD-3-Clause
"""The tables of who may ask: [policy] and [policy.group.NAME]."""

from collections.abc import Mapping

from ingest.config import values
from ingest.config.layout import named, setting
from ingest.config.values import DAY
from ingest.value import Value

_WHO = 'addresses, "@domain", "submitter", "maintainer" or "anyone"'


class GroupSettings(Value):
    """Senders who may ask for some labels."""

    senders: tuple[str, ...] = setting(values.senders, (), _WHO, needed=True)
    labels: tuple[str, ...] = setting(
        values.texts, (), "fnmatch patterns of the labels that they may ask for; empty: all"
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
    group: Mapping[str, GroupSettings] = named(GroupSettings)
