"""A sending domain's pages: enrolled, checked, given keys and retired by who may, and nothing told that is not so."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from celery import current_app
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from outbox import tasks
from reputation import domains, keyring, signing
from reputation.models import KeyEvent, Ramp, RecordCheck, Route, SendingDomain, SigningKey, Stream
from reputation.overview import txt_strings
from reputation.vault import new_master_key, vault
from tests import factories
from tests.pages import warmth
from tests.pages.desk import HOSTILE, person, root

BASE = "/admin/reputation/sendingdomain"


@pytest.fixture(autouse=True)
def master_key(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]


@pytest.fixture
def domain(live_db: Any) -> SendingDomain:
    return SendingDomain.objects.get(stream=factories.stream())


def shown(client: Any, path: str, **query: Any) -> str:
    response = client.get(BASE + path, query)
    assert response.status_code == 200, (path, response.status_code)
    page: str = response.content.decode()
    return page


# -- enrolling -----------------------------------------------------------------------------------------------


def enrol(client: Any, **fields: Any) -> Any:
    stream, _ = Stream.objects.get_or_create(name="sales")
    factories.organisation("acme.co.uk")
    route, _ = Route.objects.get_or_create(name="direct", defaults={"ehlo": "mta.acme.test"})
    form = {"name": "agents.acme.co.uk", "stream": stream.pk, "route": route.pk, "preset": "careful",
            "default_sender": "Ada <ada@agents.acme.co.uk>"}  # fmt: skip
    return client.post(f"{BASE}/add/", form | fields)


def test_an_enrolled_domain_has_keys_and_a_list_of_what_to_publish(live_db: Any) -> None:
    answer = enrol(root("ann"))
    assert answer.status_code == 302
    made = SendingDomain.objects.get()
    assert (made.organisation.name, made.state, made.preset) == ("acme.co.uk", "enrolled", "careful")
    assert set(made.keys.values_list("state", flat=True)) == {"created"}
    assert set(KeyEvent.objects.values_list("who", flat=True)) == {"ann"}
    page = root().get(answer.url).content.decode()
    assert "Not verified yet" in page
    assert "as they stand below" in page
    for row in RecordCheck.objects.filter(needed=True):
        assert row.name in page


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "co.uk", "default_sender": "a@co.uk"}, "public suffix"),  # everybody's
        ({"name": "agents acme.test"}, "Enter a domain name"),  # no name
        ({"name": "агенты.рф"}, "xn--"),  # no A-label
        ({"default_sender": "ada@acme.co.uk"}, "an address at agents.acme.co.uk"),  # outside the lane
        ({"default_sender": "ada@agents.acme.co.uk.evil.test"}, "an address at"),  # looks inside
        ({"name": "agents.firm.co.uk", "default_sender": "a@agents.firm.co.uk"}, "Declare firm.co.uk"),
        ({"preset": "own"}, "Select a valid choice"),  # has no steps yet
    ],
)
def test_a_domain_that_must_not_send_is_refused_with_what_to_do(
    live_db: Any, fields: dict[str, str], says: str
) -> None:
    answer = enrol(root(), **fields)
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert not SendingDomain.objects.exists()


def test_without_a_master_key_nothing_is_enrolled(live_db: Any, settings: Any) -> None:
    settings.AO_MASTER_KEYS = []
    assert "Set AO_MASTER_KEYS" in enrol(root()).content.decode()
    assert not SendingDomain.objects.exists()


def change(client: Any, domain: SendingDomain, **fields: Any) -> Any:
    form = {"route": domain.route_id, "preset": "careful", "target": 1000, "rotate_after_days": 180,
            "default_sender": domain.default_sender}  # fmt: skip
    return client.post(f"{BASE}/{domain.pk}/change/", form | fields)


def test_names_streams_and_states_are_not_edited(domain: SendingDomain) -> None:
    other = Stream.objects.create(name="other")
    assert change(root(), domain, name="evil.test", stream=other.pk, state="retired").status_code == 302
    now = SendingDomain.objects.select_related("stream").get()
    assert (now.name, now.stream.name, now.state) == ("agents.acme.test", "agents-support", "verified")
    assert root("other").post(f"{BASE}/{domain.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"default_sender": "ada@evil.test"}, "an address at agents.acme.test"),
        ({"preset": "own", "own_steps": ""}, "Enter the steps"),
    ],
)
def test_a_bad_change_is_refused_with_what_to_do(
    domain: SendingDomain, fields: dict[str, str], says: str
) -> None:
    assert says in change(root(), domain, **fields).content.decode()


def test_a_domain_is_retired_only_by_its_typed_name(domain: SendingDomain) -> None:
    client = root()
    client.post(f"{BASE}/{domain.pk}/retire/", {"again": "acme.test"})
    assert SendingDomain.objects.get().state == "verified"
    client.post(f"{BASE}/{domain.pk}/retire/", {"again": "agents.acme.test"})
    assert SendingDomain.objects.get().state == "retired"
    page = shown(client, f"/{domain.pk}/change/")
    assert "Check now" not in page
    assert f"{BASE}/{domain.pk}/retire/" not in page


# -- checking ------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Mock:
    asked = Mock()
    monkeypatch.setattr(current_app, "send_task", asked)
    return asked


def test_checking_asks_a_worker_and_the_page_says_so_until_it_is_done(
    domain: SendingDomain, asked: Mock
) -> None:
    client = root()
    answer = client.post(f"{BASE}/{domain.pk}/check/")
    assert asked.call_args.args == ("outbox.verify_domain", [domain.pk])
    page = client.get(answer.url).content.decode()
    assert "A worker has been asked" in page
    assert "data-again" in page
    assert 'http-equiv="refresh"' in page
    SendingDomain.objects.update(checked_at=timezone.now() + timedelta(seconds=1))
    page = client.get(answer.url).content.decode()
    assert "A worker has been asked" not in page
    assert "data-again" not in page


def test_the_task_checks_the_domain_it_is_given(
    domain: SendingDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Mock()
    monkeypatch.setattr(domains, "verify", verify)
    tasks.verify_domain(domain.pk)
    verify.assert_called_once_with(domain.pk)


def test_a_check_that_nobody_takes_up_is_told_as_that(domain: SendingDomain) -> None:
    long_ago = (timezone.now() - timedelta(minutes=1)).timestamp()
    assert "is a worker running?" in shown(root(), f"/{domain.pk}/change/", asked=long_ago)


@pytest.mark.parametrize("asked_at", ["", "nonsense", "nan", "inf", "9" * 40, "-1e300"])
def test_nonsense_in_the_address_is_no_error_of_ours(domain: SendingDomain, asked_at: str) -> None:
    shown(root(), f"/{domain.pk}/change/", asked=asked_at)


def test_a_broker_that_is_gone_is_said_and_no_error(domain: SendingDomain, asked: Mock) -> None:
    asked.side_effect = OSError("no route")
    page = root().post(f"{BASE}/{domain.pk}/check/", follow=True).content.decode()
    assert "No worker could be reached" in page


def test_a_running_check_shows_how_far_it_has_come(domain: SendingDomain) -> None:
    client, began = root(), timezone.now()
    warmth.records(domain, began - timedelta(hours=1))
    SendingDomain.objects.update(checking_since=began)
    RecordCheck.objects.filter(position__lt=4).update(checked_at=timezone.now())
    page = shown(client, f"/{domain.pk}/change/")
    assert "Checking: 4 of 11 done" in page
    assert "Check now" not in page
    SendingDomain.objects.update(checking_since=began - timedelta(hours=1))
    page = shown(client, f"/{domain.pk}/change/")
    assert "is a worker running?" in page
    assert "Check now" in page


def test_looking_at_a_check_does_not_start_one(domain: SendingDomain, asked: Mock) -> None:
    root().get(f"{BASE}/{domain.pk}/check/")
    assert not asked.called


# -- what one looks at first ---------------------------------------------------------------------------------


def test_the_page_says_what_to_do_next_and_why(domain: SendingDomain) -> None:
    warmth.records(domain)
    warmth.warm(domain)
    page = shown(root(), f"/{domain.pk}/change/")
    for words in [
        "Publish 1 record: DKIM key (TXT).",
        "Correct 1 record: SPF of the return-path host (TXT).",
        "Check 1 record again: nobody answered.",
        "8 of 11 right.",
        "There are two SPF records",
        "Today 306 of 767 used, 30 reserved.",
        "Stays on step 10 so far.",
        "Held on step 5.",
        "Gmail has detected an unusual rate",
        "stepped down",
    ]:
        assert words in page, words


def test_a_domain_without_an_active_key_says_that_nothing_leaves(domain: SendingDomain) -> None:
    assert "No RSA key is active" not in shown(root(), f"/{domain.pk}/change/")
    SigningKey.objects.update(state="retiring")
    assert "No RSA key is active" in shown(root("other"), f"/{domain.pk}/change/")


def test_what_servers_and_zones_said_is_shown_escaped_only(domain: SendingDomain) -> None:
    warmth.records(domain)
    [ramp, *_] = warmth.warm(domain)
    RecordCheck.objects.update(found=HOSTILE, words=HOSTILE, expected=HOSTILE)
    Ramp.objects.update(valve_why=HOSTILE)
    keyring.make(domain, "rsa-sha256", who=HOSTILE, why=HOSTILE)
    ramp.events.create(at=datetime.now(UTC), kind="held", step=1, why=HOSTILE,
                       evidence={"rates": [{"words": HOSTILE}], HOSTILE: HOSTILE})  # fmt: skip
    client = root()
    lists = ["sendingdomain", "ramp", "rampevent"]
    pages = [f"sendingdomain/{domain.pk}/change/", f"ramp/{ramp.pk}/change/", *(f"{name}/" for name in lists)]
    for path in pages:
        page = client.get(f"/admin/reputation/{path}").content.decode()
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert "&lt;script&gt;alert" in page or path.endswith(("ramp/", "sendingdomain/")), path


def test_a_page_costs_the_same_for_few_rows_and_for_many(domain: SendingDomain) -> None:
    client, costs = root(), []
    warmth.records(domain)
    for number in range(3):
        for each in range(8):
            Ramp.objects.create(kind="domain", key=domain.name, provider=f"p{number}-{each}")
            keyring.make(domain, "rsa-sha256")
        with CaptureQueriesContext(connection) as captured:
            shown(client, f"/{domain.pk}/change/")
        costs.append(len(captured))
    assert costs[1] == costs[2]


def test_domains_are_filtered_by_state_and_valve(domain: SendingDomain) -> None:
    factories.stream("resets", "resets.acme.test", kind="transactional")
    warmth.warm(domain)
    SendingDomain.objects.filter(name="resets.acme.test").update(state="degraded")
    client = root()
    for query, found in [
        ({"state__exact": "degraded"}, {"resets"}),
        ({"valve": "closed"}, {"agents"}),
        ({"valve": "slow"}, {"agents"}),
        ({"valve": "trial"}, set()),
        ({"valve": "open"}, {"resets"}),
        ({"valve": "nonsense"}, {"agents", "resets"}),
    ]:
        page = shown(client, "/", **query)
        assert {name for name in ("agents", "resets") if f">{name}.acme.test</a>" in page} == found, query


# -- who may -------------------------------------------------------------------------------------------------


def test_who_may_only_look_sees_everything_and_no_button(domain: SendingDomain, asked: Mock) -> None:
    warmth.records(domain)
    keyring.make(domain, "rsa-sha256")
    viewer = person("viewer", "reputation.view_sendingdomain")
    page = shown(viewer, f"/{domain.pk}/change/")
    assert "There are two SPF records" in page
    for button in ("Check now", "Make a signing key", ">revoke<", ">force<", "/retire/"):
        assert button not in page, button
    key = SigningKey.objects.first()
    assert key is not None
    paths = [f"{domain.pk}/check/", f"{domain.pk}/retire/", f"{domain.pk}/keys/make/",
             f"{domain.pk}/keys/{key.pk}/revoke/", "add/"]  # fmt: skip
    for path in paths:
        answer = viewer.post(f"{BASE}/{path}", {"again": domain.name, "algorithm": "rsa-sha256"})
        assert answer.status_code == 403, path
    assert not asked.called


# -- signing keys --------------------------------------------------------------------------------------------


def test_a_key_is_made_activated_and_revoked_by_hand(domain: SendingDomain) -> None:
    client, keys = root(), f"{BASE}/{domain.pk}/keys"
    assert client.post(f"{keys}/make/", {"algorithm": "rsa-sha256"}).status_code == 302
    made = SigningKey.objects.get(state="created")
    sealed = vault().unseal(bytes(made.private_sealed))
    assert (
        signing.load(domain.name, made.selector, signing.Algorithm.RSA, sealed).public_record
        == made.public_record
    )

    SigningKey.objects.filter(pk=made.pk).update(state="published")
    for word, states in [("activate", {"retiring", "active"}), ("revoke", {"retiring", "revoked"})]:
        assert client.get(f"{keys}/{made.pk}/{word}/").status_code == 200
        assert client.post(f"{keys}/{made.pk}/{word}/").status_code == 302
        assert set(SigningKey.objects.values_list("state", flat=True)) == states


def test_a_domains_page_shows_the_record_to_publish_and_no_private_half(domain: SendingDomain) -> None:
    key = keyring.make(domain, "rsa-sha256")
    page = shown(root(), f"/{domain.pk}/change/")
    assert f"{key.selector}._domainkey.agents.acme.test." in page
    assert txt_strings(key.public_record).splitlines()[0].strip('"') in page
    assert bytes(key.private_sealed).decode() not in page
    assert "PRIVATE" not in page


def test_a_record_is_split_into_strings_that_join_to_it() -> None:
    record = "v=DKIM1; k=rsa; p=" + "A" * 392
    strings = [line.strip('"') for line in txt_strings(record).splitlines()]
    assert "".join(strings) == record
    assert max(map(len, strings)) == 255


@pytest.mark.parametrize(
    ("state", "word", "allowed"),
    [
        ("published", "activate", True),
        ("created", "activate", False),  # nobody could verify what it signs
        ("retiring", "activate", True),  # back to the one before
        ("active", "activate", False),
        ("revoked", "activate", False),  # revoked is for good
        ("active", "revoke", True),
        ("revoked", "revoke", False),
    ],
)
def test_a_key_moves_only_from_where_it_may(
    domain: SendingDomain, state: str, word: str, allowed: bool
) -> None:
    SigningKey.objects.update(state="retiring")
    key = keyring.make(domain, "rsa-sha256")
    SigningKey.objects.filter(pk=key.pk).update(state=state)
    path = f"{BASE}/{domain.pk}/keys/{key.pk}/{word}/"
    page = root().post(path, follow=True).content.decode()
    key.refresh_from_db()
    assert key.state == (keyring.MOVES[word].target if allowed else state)
    assert ("left alone" in page) is not allowed


def test_a_key_that_the_dns_has_not_shown_is_activated_only_with_a_reason(domain: SendingDomain) -> None:
    client, key = root("ann"), keyring.make(domain, "rsa-sha256")
    path = f"{BASE}/{domain.pk}/keys/{key.pk}/force/"
    assert "This field is required" in client.post(path, {"why": "  "}).content.decode()
    client.post(path, {"why": "The zone is ours, and <b>slow</b>."})
    key.refresh_from_db()
    assert key.state == "active"
    [told] = KeyEvent.objects.filter(kind="forced")
    assert (told.who, told.why) == ("ann", "The zone is ours, and <b>slow</b>.")
    assert "&lt;b&gt;slow" in shown(client, f"/{domain.pk}/change/")


def test_keys_want_their_own_permissions(domain: SendingDomain) -> None:
    viewer = person("viewer", "reputation.view_sendingdomain", "reputation.change_sendingdomain")
    key = SigningKey.objects.get()
    keys = f"{BASE}/{domain.pk}/keys"
    assert viewer.post(f"{keys}/make/", {"algorithm": "rsa-sha256"}).status_code == 403
    assert viewer.post(f"{keys}/{key.pk}/revoke/").status_code == 403
    assert (
        person("keeper", "reputation.change_signingkey").post(f"{keys}/{key.pk}/revoke/").status_code == 302
    )


@pytest.mark.parametrize("path", ["keys/0/activate/", "keys/1/burn/", "keys/1/delete/"])
def test_there_is_no_such_key_or_move(domain: SendingDomain, path: str) -> None:
    assert root().post(f"{BASE}/{domain.pk}/{path}").status_code == 404
    assert SigningKey.objects.get().state == "active"


@pytest.mark.parametrize(("algorithm", "name"), [("rsa-sha256", "RSA 2048"), ("ed25519-sha256", "Ed25519")])
def test_a_keys_algorithm_is_spelled_as_people_write_it(
    domain: SendingDomain, algorithm: str, name: str
) -> None:
    keyring.make(domain, algorithm)
    assert name in shown(root(), f"/{domain.pk}/change/")
