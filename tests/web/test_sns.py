# SPDX-License-Identifier: BSD-3-Clause
"""Amazon SES by SNS: signatures of both versions, topics, certificates, confirmations."""

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support import amazon as sns
from tests.support import posted
from tests.support.amazon import Amazon
from tests.support.http_site import LISTEN, Site, request
from tests.support.parts import eventually

OTHER_TOPIC = sns.TOPIC.replace("inbound", "other")


def send(site: Site, values: dict[str, Any], **headers: str) -> int:
    given, body = sns.posted(values)
    return site.post("/mail/ses", body, {**given, **headers})[0]


def mail(name: str, **fields: Any) -> dict[str, Any]:
    return sns.message("Notification", sns.notification(request(name)), **fields)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("also", [{}, {"Subject": "Amazon SES Email Receipt Notification"}])
def test_both_versions_of_the_signature_count(
    site: Site, version: str, also: dict[str, str]
) -> None:
    assert send(site, sns.signed(mail("one", SignatureVersion=version, **also))) == 200
    assert len(site.queued()) == 1


def test_the_certificate_is_asked_for_once(site: Site, amazon: Amazon) -> None:
    for name in ("one", "two"):
        assert send(site, sns.signed(mail(name))) == 200
    assert amazon.asked == ["/" + sns.CERTIFICATE.rpartition("/")[2]]
    assert amazon.tunnels == [f"{sns.HOST}:443"]


def test_a_mail_as_text_is_taken_and_told_as_such(site: Site) -> None:
    told = sns.notification(request("text"), encoding="UTF-8")
    assert send(site, sns.signed(sns.message("Notification", told))) == 200
    assert site.queued()[0].source == "hook ses (ses, text from JSON)"


@pytest.mark.parametrize(
    "text",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        json.dumps({"notificationType": "Bounce"}),
        "[]",
    ],
)
def test_a_notification_without_a_mail_is_taken_for_a_trial(site: Site, text: str) -> None:
    values = sns.signed(sns.message("Notification", text))
    given, body = sns.posted(values)
    assert site.post("/mail/ses", body, given) == (200, "nothing to do\n")


def test_an_action_that_stores_the_mail_elsewhere_is_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    told = sns.notification(request("one"), action="S3")
    assert send(site, sns.signed(sns.message("Notification", told))) == 503
    assert "the action of the receipt rule must be SNS" in caplog.text


def test_a_genuine_message_of_another_topic_is_refused_unread(site: Site, amazon: Amazon) -> None:
    assert send(site, sns.signed(mail("one", TopicArn=OTHER_TOPIC))) == 503
    # Also if its head names ours.
    values = sns.signed(mail("one", TopicArn=OTHER_TOPIC))
    assert send(site, values, **{"x-amz-sns-topic-arn": sns.TOPIC}) == 503
    assert (amazon.asked, site.queued()) == ([], [])


FORGED_URLS = [
    "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-{0}.pem",
    "https://evil.example/SimpleNotificationService-{0}.pem",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{0}.pem",
    "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-{0}.pem",
    "https://user@sns.us-east-1.amazonaws.com/SimpleNotificationService-{0}.pem",
    "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-{0}.pem",
    "https://sns.us-east-1.amazonaws.com\\@evil.example/SimpleNotificationService-{0}.pem",
    "https://sns.us-east-1.amazonaws.com/a-topic/../SimpleNotificationService-{0}.pem",
    "https://sns.us-east-1.amazonaws.com/?Action=GetTopic",
    "file:///etc/passwd",
    "https://[bad",
    "",
]


@pytest.mark.parametrize("url", FORGED_URLS)
def test_nobody_but_amazon_is_asked_for_a_certificate(site: Site, amazon: Amazon, url: str) -> None:
    values = sns.signed(mail("one", SigningCertURL=url.format("0" * 31 + "a")))
    assert send(site, values) == 503
    assert amazon.tunnels == []


def test_a_certificate_that_is_waited_for_holds_up_no_mail_whose_certificate_is_known(
    site: Site, amazon: Amazon
) -> None:
    assert send(site, sns.signed(mail("one"))) == 200
    amazon.answers.clear()
    forged = Thread(target=send, args=(site, sns.signed(mail("two", SigningCertURL=sns.MISSING))))
    forged.start()
    try:
        eventually(lambda: len(amazon.asked) == 2, "the other certificate is asked for")
        assert send(site, sns.signed(mail("three"))) == 200
        assert forged.is_alive()
    finally:
        amazon.answers.set()
        forged.join()


@pytest.mark.parametrize("url", [sns.MISSING, sns.EXPIRED])
def test_a_certificate_that_cannot_be_had_is_not_asked_for_again_at_once(
    site: Site, amazon: Amazon, url: str
) -> None:
    values = sns.signed(mail("one", SigningCertURL=url))
    assert [send(site, values), send(site, values)] == [503, 503]
    assert len(amazon.asked) == 1
    assert site.queued() == []


@pytest.mark.parametrize(
    "change",
    [
        {"Message": sns.notification(request("other"))},
        {"Timestamp": "2026-11-02T00:54:07.655Z"},
        {"Subject": "added"},
        {"Signature": "AAAA"},
        {"Signature": ""},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Type": "Bounce"},
    ],
    ids=str,
)
def test_a_message_that_was_changed_is_refused(site: Site, change: dict[str, str]) -> None:
    assert send(site, {**sns.signed(mail("one")), **change}) == 503
    assert site.queued() == []


def test_a_key_that_stands_there_twice_is_refused(site: Site) -> None:
    given, body = sns.posted(sns.signed(mail("one")))
    twice = body.replace(b"{", b'{"Message": "x",', 1)
    assert site.post("/mail/ses", twice, given)[0] == 503


@pytest.mark.parametrize(
    "field", ["x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"]
)
def test_the_head_must_agree_with_the_message(site: Site, field: str) -> None:
    assert send(site, sns.signed(mail("one")), **{field: "another"}) == 503


def test_a_subscription_is_confirmed_once(site: Site, amazon: Amazon) -> None:
    values = sns.signed(sns.message("SubscriptionConfirmation", "You have chosen"))
    assert [send(site, values), send(site, values)] == [200, 200]
    confirmed = [path for path in amazon.asked if "ConfirmSubscription" in path]
    assert confirmed == [values["SubscribeURL"].removeprefix(f"https://{sns.HOST}")]


@pytest.mark.parametrize("status", [302, 500])
def test_a_confirmation_that_fails_is_tried_when_it_comes_again(
    site: Site, amazon: Amazon, status: int
) -> None:
    values = sns.signed(sns.message("SubscriptionConfirmation", "You have chosen"))
    amazon.confirmation = status
    assert send(site, values) == 503
    assert "/elsewhere" not in amazon.asked
    amazon.confirmation = 200
    assert send(site, values) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"TopicArn": OTHER_TOPIC},
        {"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"},
        {"SubscribeURL": "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"},
    ],
    ids=str,
)
def test_nothing_is_visited_for_another_topic_or_elsewhere(
    site: Site, amazon: Amazon, change: dict[str, str]
) -> None:
    values = sns.signed(sns.message("SubscriptionConfirmation", "You have chosen", **change))
    assert send(site, values) == 503
    assert not [path for path in amazon.asked if "Confirm" in path]


def test_nothing_is_visited_without_a_signature(site: Site, amazon: Amazon) -> None:
    values = sns.message("SubscriptionConfirmation", "You have chosen", Signature="AAAA")
    assert send(site, values) == 503
    assert not [path for path in amazon.asked if "Confirm" in path]


def test_an_unsubscription_is_taken_without_a_visit(site: Site, amazon: Amazon) -> None:
    assert send(site, sns.signed(sns.message("UnsubscribeConfirmation", "You have"))) == 200
    assert not [path for path in amazon.asked if "Confirm" in path]


def test_amazon_is_asked_for_user_and_password_first(quick_path: Path, amazon: Amazon) -> None:
    toml = posted.hooks(quick_path) + f'basic_file = "{quick_path}/basic"\n'
    values = sns.signed(mail("one"))
    with Site(quick_path, LISTEN + toml) as site:
        assert send(site, values) == 401
        assert send(site, values, **posted.basic("recheck:wrong")) == 503
        assert send(site, values, **posted.basic()) == 200


def test_a_message_above_what_sns_sends_is_not_read(site: Site) -> None:
    assert send(site, sns.signed(mail("one", Padding="x" * (1 << 20)))) == 413


def test_unless_the_chain_of_its_host_is_trusted_amazon_is_not_asked(
    site: Site, amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert send(site, sns.signed(mail("one"))) == 503
    assert amazon.asked == []
