"""The admin of outbox: what people find, what they cannot change, and what is never shown."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from outbox import ids, keys, ledger
from outbox.models import (
    Agent,
    Answer,
    ApiKey,
    Attempt,
    Delivery,
    Event,
    Lane,
    Message,
    Organisation,
    Run,
    Session,
)
from reputation import viewing
from tests import factories
from tests.pages.desk import HOSTILE, answered, person, posted, root

LEDGER = [Message, Delivery, Attempt, Event, Answer, Session, Lane, Run]
LISTS = [Agent, ApiKey, *LEDGER]

INLINE = re.compile(
    r"<style|<script(?![^>]*\ssrc=)|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:", re.IGNORECASE
)


def changelist(model: Any) -> str:
    return f"/admin/outbox/{model._meta.model_name}/"


def change(row: Any) -> str:
    return f"{changelist(type(row))}{row.pk}/change/"


def shown(client: Client, path: str, **query: Any) -> str:
    response = client.get(path, query)
    assert response.status_code == 200, (path, response.status_code, response.headers)
    return response.content.decode()


def listed(client: Client, model: Any, prefix: str, **query: Any) -> set[UUID | None]:
    """The keys of the rows on a list, read from their printed names."""
    page = shown(client, changelist(model), **query)
    return {ids.parsed(prefix, name) for name in re.findall(rf">({prefix}_\w{{26}})<", page)}


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


@pytest.fixture
def mail(ada: Agent) -> list[UUID]:
    """Three messages: one bounced, one delivered, one still queued; oldest first."""
    first = posted(ada, {"to": ["nobody@example.org"], "subject": "First", "agent": {"run_id": "r-1"}})
    answered("bounced", "recipient_unknown", reply_code=550, reply="5.1.1 no such user")
    second = posted(ada, {"to": ["Grace@example.org", "linus@example.net"], "subject": "Second"})
    answered("delivered", "accepted_by_server", reply_code=250, reply="2.0.0 OK q-17")
    return first + second + posted(ada, {"subject": "Third", "agent": {"run_id": "r-3"}})


# -- read only -----------------------------------------------------------------------------------------------


@pytest.fixture
def rows(mail: list[UUID], ada: Agent) -> list[Any]:
    """One row of each table that nobody may change."""
    headers = {"Authorization": f"Bearer {factories.key(ada)}", "Idempotency-Key": "k-1"}
    body = {"to": "grace@example.org", "subject": "S", "text": "T"}
    assert (
        Client().post("/v1/messages", body, content_type="application/json", headers=headers).status_code
        == 202
    )
    return [model.objects.first() for model in LEDGER]


def test_nobody_adds_changes_or_deletes_what_the_ledger_wrote(rows: list[Any]) -> None:
    client = root()
    for row in rows:
        before = type(row).objects.count()
        shown(client, change(row))
        attempts = [
            client.get(f"{changelist(type(row))}add/"),
            client.post(f"{changelist(type(row))}add/", {}),
            client.post(change(row), {"_save": "1", "status": "delivered", "subject": "changed"}),
            client.get(f"{changelist(type(row))}{row.pk}/delete/"),
            client.post(f"{changelist(type(row))}{row.pk}/delete/", {"post": "yes"}),
        ]
        assert [answer.status_code for answer in attempts] == [403] * 5, type(row)
        client.post(
            changelist(type(row)),
            {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"},
        )
        assert type(row).objects.count() == before
        now = type(row).objects.get(pk=row.pk)
        assert vars(now) | {"_state": None} == vars(row) | {"_state": None}


def test_agents_are_switched_off_never_deleted_and_keep_their_names(ada: Agent) -> None:
    client = root()
    limits = dict.fromkeys(("requests_per_minute", "recipients_per_message", "recipients_per_run"), "7")
    limits |= dict.fromkeys(("recipients_per_hour", "recipients_per_day", "domains_per_run"), "7")
    limits |= dict.fromkeys(("attachment_mib_per_run", "attachment_mib_per_day"), "7")
    inline = {"keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    answer = client.post(change(ada), {"name": "eve", "stream": ada.stream_id, **limits, **inline})
    assert answer.status_code == 302
    ada.refresh_from_db()
    assert (ada.name, ada.enabled, ada.recipients_per_day) == ("ada", False, 7)
    assert client.post(f"/admin/outbox/agent/{ada.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_organisation_has_one_limit_or_none(ada: Agent) -> None:
    client, add = root(), "/admin/outbox/organisation/add/"
    assert "At least 1" in client.post(add, {"recipients_per_day": "0"}).content.decode()
    assert client.post(add, {"recipients_per_day": "500"}).status_code == 302
    row = Organisation.objects.get()
    assert row.recipients_per_day == 500
    assert client.post(add, {"recipients_per_day": "9"}).status_code == 403
    assert client.post(change(row), {"recipients_per_day": ""}).status_code == 302
    assert Organisation.objects.get().recipients_per_day is None


def test_djangos_permissions_decide_who_sees_and_who_edits(ada: Agent, mail: list[UUID]) -> None:
    viewer, nobody = person("viewer", "outbox.view_message", "outbox.view_agent"), person("nobody")
    assert "Second" in shown(viewer, changelist(Message))
    assert viewer.post(change(ada), {"enabled": "on"}).status_code == 403
    assert viewer.get("/admin/outbox/apikey/add/").status_code == 403
    assert viewer.get(changelist(Delivery)).status_code == 403
    assert nobody.get(changelist(Message)).status_code == 403
    assert Client().get(changelist(Message)).status_code == 302


# -- keys ----------------------------------------------------------------------------------------------------


def issue(client: Client, **form: Any) -> Any:
    return client.post("/admin/outbox/apikey/add/", {"kind": "agent", "scopes": ["send", "read"], **form})


def test_a_key_is_shown_once_and_opens_the_door(ada: Agent) -> None:
    client = root()
    answer = issue(client, agent=ada.pk, name="laptop")
    [text] = re.findall(r'id="shown-once">(ao_live_\w+)<', answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    caller = keys.authenticate(f"Bearer {text}")
    assert (caller.agent, caller.scopes) == ("ada", {"send", "read"})
    key = ApiKey.objects.get(name="laptop")
    secret = text.rpartition("_")[2]
    for path in (change(ada), change(key), changelist(ApiKey), f"{change(key)[:-7]}history/", "/admin/"):
        page = shown(client, path)
        assert secret not in page
        assert bytes(key.secret_hash).hex() not in page


def test_asking_for_the_form_issues_nothing(ada: Agent) -> None:
    page = shown(root(), "/admin/outbox/apikey/add/", agent=ada.pk)
    assert f'<option value="{ada.pk}" selected>' in page
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"agent": ""}, "Choose the agent"),  # an agent key of nobody
        ({"scopes": []}, "Choose at least one"),  # opens nothing
        ({"kind": "returns"}, "belongs to nobody"),  # a returns key of an agent
        ({"expires_at": "2020-01-01T00:00"}, "in the future"),  # dead on arrival
        ({"scopes": ["approve"]}, "not one of the available choices"),  # no key approves
    ],
)
def test_a_key_that_makes_no_sense_is_refused_with_what_to_do(
    ada: Agent, form: dict[str, Any], says: str
) -> None:
    answer = issue(root(), **({"agent": ada.pk} | form))
    assert says in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_returns_key_belongs_to_nobody_and_has_no_scopes(live_db: Any) -> None:
    assert "ao_live_" in issue(root(), kind="returns").content.decode()
    assert ApiKey.objects.values_list("kind", "agent", "scopes").get() == ("returns", None, [])


def test_a_revoked_key_is_refused_at_its_next_request(ada: Agent) -> None:
    text, client = factories.key(ada), root()
    path = f"/admin/outbox/apikey/{ApiKey.objects.get().pk}/revoke/"
    assert "cannot be brought back" in shown(client, path)
    keys.authenticate(f"Bearer {text}")  # asking is not doing
    client.post(path)
    with pytest.raises(Exception, match="no valid key"):
        keys.authenticate(f"Bearer {text}")
    first = ApiKey.objects.get().revoked_at
    client.post(path)
    assert ApiKey.objects.get().revoked_at == first


def test_who_issued_and_who_revoked_stays_on_record(ada: Agent) -> None:
    client = root()
    issue(client, agent=ada.pk)
    key = ApiKey.objects.get()
    client.post(f"/admin/outbox/apikey/{key.pk}/revoke/")
    history = shown(client, f"{change(key)[:-7]}history/")
    assert f"Issued ao_live_{key.prefix}" in history
    assert f"Revoked ao_live_{key.prefix}" in history


def test_revoking_wants_its_own_permission(ada: Agent) -> None:
    factories.key(ada)
    viewer = person("viewer", "outbox.view_apikey")
    assert viewer.post(f"/admin/outbox/apikey/{ApiKey.objects.get().pk}/revoke/").status_code == 403
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_a_found_key_is_found_by_its_beginning(ada: Agent) -> None:
    text = factories.key(ada)
    factories.key(ada, name="another")
    page = shown(root(), changelist(ApiKey), q=text[:16])
    assert "1 API key" in page


# -- finding -------------------------------------------------------------------------------------------------


def test_messages_are_found_by_every_name_they_have(mail: list[UUID]) -> None:
    client, (first, second, third) = root(), mail
    header = Message.objects.get(pk=second).header_id
    for words, found in [
        (ids.printed("msg", first), {first}),
        (ids.printed("dlv", ids.delivery_id(second, 2)), {second}),
        (header, {second}),
        (header.strip("<>"), {second}),  # as mail clients copy it
        (str(third), {third}),  # as PostgreSQL prints it
        ("linus@example.net", {second}),
        (" nobody@example.org ", {first}),  # spaces come with copying
        ("r-1", {first}),
        ("r-2", set()),
        ("msg_00000000000000000000000000", set()),
        ("somebody@example.org", set()),
        ("%", set()),  # no pattern
    ]:
        assert listed(client, Message, "msg", q=words) == found, words


def test_messages_are_filtered_by_agent_stream_status_run_and_time(mail: list[UUID]) -> None:
    client, (first, second, third) = root(), mail
    posted(factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test")), {})
    ada, run = Agent.objects.get(name="ada"), Run.objects.get(name="r-3")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    for query, found in [
        ({"agent__id__exact": ada.pk}, set(mail)),
        ({"stream__id__exact": ada.stream_id}, set(mail)),
        ({"status": "bounced"}, {first}),
        ({"status": "delivered"}, {second}),
        ({"status": "queued", "agent__id__exact": ada.pk}, {third}),
        ({"run": run.pk}, {third}),
        ({"past": "1h", "agent__id__exact": ada.pk}, set(mail)),
        ({"since": tomorrow}, set()),
        ({"until": tomorrow, "agent__id__exact": ada.pk}, set(mail)),
        ({"until": "2026-01-01T00:00"}, set()),
        ({"past": "nonsense"}, set()),
        ({"since": "yesterday"}, set()),
    ]:
        assert listed(client, Message, "msg", **query) == found, query


def test_messages_are_found_by_words_of_their_subject_within_a_period(mail: list[UUID]) -> None:
    client, (first, second, third) = root(), mail
    for query, found in [
        ({"q": "subject: secon"}, {second}),
        ({"q": "Subject:IR"}, {first, third}),
        ({"q": "subject:%"}, set()),  # no pattern
        ({"q": "subject: third", "past": "1h"}, {third}),
        ({"q": "subject: third", "until": "2026-01-01T00:00"}, set()),
        ({"q": "second"}, set()),  # a run's name
    ]:
        assert listed(client, Message, "msg", **query) == found, query


def test_subjects_are_looked_for_in_one_range_of_the_key(mail: list[UUID]) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert "Subjects of the past 7 days" in shown(root(), changelist(Message), q="subject: x")
    asked = [query["sql"] for query in captured if "UPPER" in query["sql"]]
    assert asked
    assert all('"outbox_message"."id" >=' in statement for statement in asked)


def test_a_bad_period_says_what_a_good_one_is(mail: list[UUID]) -> None:
    assert "2026-11-22T04:00" in shown(root(), changelist(Message), since="yesterday")


@pytest.mark.parametrize(
    "query", [{"run": "1'"}, {"run": "9" * 40}, {"status": "\0"}, {"q": "\0"}, {"q": "x" * 9000}]
)
def test_nonsense_in_the_address_is_no_error_of_ours(mail: list[UUID], query: dict[str, str]) -> None:
    assert root().get(changelist(Message), query).status_code in {200, 302}


def test_deliveries_are_found_by_id_message_and_recipient(mail: list[UUID]) -> None:
    client, (first, second, third) = root(), mail
    both = {ids.delivery_id(second, 1), ids.delivery_id(second, 2)}
    for query, found in [
        ({"q": ids.printed("dlv", ids.delivery_id(second, 2))}, {ids.delivery_id(second, 2)}),
        ({"q": ids.printed("msg", second)}, both),
        ({"q": "nobody@example.org"}, {ids.delivery_id(first, 1)}),
        ({"q": "Grace@example.org"}, {ids.delivery_id(second, 1), ids.delivery_id(third, 1)}),
        ({"status__exact": "bounced"}, {ids.delivery_id(first, 1)}),
        ({"code": "accepted_by_server"}, both),
        ({"q": "words"}, set()),
    ]:
        assert listed(client, Delivery, "dlv", **query) == found, query


def test_attempts_and_events_are_found_by_message_and_delivery(mail: list[UUID]) -> None:
    client, (first, second, _) = root(), mail
    one, two = ids.delivery_id(first, 1), ids.delivery_id(second, 2)
    for model, words, found in [
        (Attempt, ids.printed("dlv", one), {one}),
        (Attempt, ids.printed("msg", second), {ids.delivery_id(second, 1), two}),
        (Event, ids.printed("dlv", two), {two}),
        (Event, ids.printed("msg", first), {one}),
    ]:
        assert listed(client, model, "dlv", q=words) == found, (model, words)
    assert listed(client, Attempt, "dlv", outcome="bounced") == {one}


def test_lanes_are_found_by_scope(mail: list[UUID]) -> None:
    client = root()
    assert "example" not in shown(client, changelist(Lane), q="agent:nobody")
    assert "1 lane" in shown(client, changelist(Lane), q="run:ada/r-1")


# -- the story -----------------------------------------------------------------------------------------------


def test_a_messages_page_tells_its_whole_story(mail: list[UUID]) -> None:
    page = shown(root(), f"/admin/outbox/message/{mail[0]}/change/")
    for told in [
        ids.printed("msg", mail[0]),
        ids.printed("dlv", ids.delivery_id(mail[0], 1)),
        "nobody@example.org",
        "recipient_unknown",
        "550 5.1.1 no such user",
        "mx.example.org",
        "192.0.2.7",
        "accepted",
        "claimed",
        f"?run={Run.objects.get(name='r-1').pk}",
    ]:
        assert told in page, told


def test_a_deliverys_page_tells_its_part_only(mail: list[UUID]) -> None:
    page = shown(root(), f"/admin/outbox/delivery/{ids.delivery_id(mail[1], 2)}/change/")
    assert "linus@example.net" in page
    assert "250 2.0.0 OK q-17" in page
    assert "Grace@example.org" not in page


def test_the_list_of_messages_names_the_first_recipient_and_counts_the_others(mail: list[UUID]) -> None:
    page = shown(root(), changelist(Message))
    assert re.findall(r'class="field-to">([^<]+)<', page) == [
        "grace@example.org",
        "Grace@example.org +1",
        "nobody@example.org",
    ]


def test_a_messages_breadcrumb_is_its_name_in_the_api(mail: list[UUID]) -> None:
    page = shown(root(), change(Message.objects.get(pk=mail[0])))
    [crumbs] = re.findall(r'<div class="breadcrumbs">.*?</div>', page, re.DOTALL)
    assert ids.printed("msg", mail[0]) in crumbs


def test_a_deliverys_page_says_each_thing_once(mail: list[UUID]) -> None:
    page = shown(root(), change(Delivery.objects.get(pk=ids.delivery_id(mail[0], 1))))
    [content] = re.findall(r'<div id="content-main">.*', page, re.DOTALL)
    assert content.count("nobody@example.org") == 1
    assert ids.printed("dlv", ids.delivery_id(mail[0], 1)) not in content


@pytest.mark.parametrize(
    ("phase", "signed"),
    [("connect", False), ("rcpt", False), ("data", True), ("dot", True), ("replied", True)],
)
def test_what_signed_a_message_is_told_only_where_there_was_one(ada: Agent, phase: str, signed: bool) -> None:
    [key] = posted(ada, {"subject": "Signed"})
    answered("bounced", "recipient_unknown", reply_code=550, phase=phase, selectors="s2026 e2026")
    client = root()
    for path in (f"/admin/outbox/message/{key}/change/", change(Attempt.objects.get())):
        assert ("s2026 e2026" in shown(client, path)) is signed, path


def test_every_instant_is_written_the_same_way_in_utc(mail: list[UUID], ada: Agent) -> None:
    client = root()
    key = Message.objects.get(pk=mail[1])
    paths = [change(key), change(Attempt.objects.first()), change(Event.objects.first()), changelist(Message)]
    for path in paths:
        text = re.sub(r"<[^>]*>", "", shown(client, path))
        instants = re.findall(r"\d{4}-\d\d-\d\d.\d\d:\d\d\S*( UTC)?", text)
        assert instants, path
        assert set(instants) == {" UTC"}, path
        assert not re.search(r"[ap]\.m\.", text), path


@pytest.mark.parametrize(("status", "code"), [("held", "poison"), ("uncertain", "no_reply_after_dot")])
def test_what_no_clock_moves_waits_for_a_person(mail: list[UUID], status: str, code: str) -> None:
    row = Delivery.objects.get(pk=ids.delivery_id(mail[2], 1))
    Delivery.objects.filter(pk=row.pk).update(status=status, code=code, next_attempt_at=ledger.NEVER)
    page = shown(root(), change(row))
    assert "waits for a person" in page
    assert "9999" not in page


def test_a_lane_that_nothing_wakes_is_asleep_and_only_a_stop_parks_it(mail: list[UUID]) -> None:
    Lane.objects.update(state="asleep", wake_at=ledger.NEVER)
    page, client = shown(root(), changelist(Lane)), root("other")
    assert "asleep" in page
    assert "9999" not in page
    assert "icon-no" not in page
    Lane.objects.update(state="parked")
    assert "ao-parked" in shown(client, changelist(Lane))


@pytest.mark.parametrize("name", ["message", "delivery", "event", "attempt"])
def test_a_page_of_nothing_leads_back(live_db: Any, name: str) -> None:
    client = root()
    for key in ("00000000-0000-7000-8000-000000000000", "nonsense"):
        assert client.get(f"/admin/outbox/{name}/{key}/change/").status_code == 302


# -- hostile content -----------------------------------------------------------------------------------------


def test_what_agents_and_servers_wrote_is_shown_escaped_only(ada: Agent) -> None:
    [key] = posted(
        ada,
        {
            "to": ["grace@example.org"],
            "subject": HOSTILE,
            "text": HOSTILE,
            "html": HOSTILE,
            "headers": {"X-Hostile": HOSTILE},
            "attachments": [
                {
                    "filename": "<img src=x onerror=alert(3)>.pdf",
                    "content": "QQ==",
                    "content_type": "text/plain",
                }
            ],
            "agent": {"run_id": "r", "purpose": HOSTILE, "on_behalf_of": HOSTILE},
        },
    )
    answered("bounced", "recipient_unknown", reply_code=550, reply=HOSTILE, host=HOSTILE)
    client = root()
    pages = [
        f"/admin/outbox/message/{key}/change/",
        f"/admin/outbox/delivery/{ids.delivery_id(key, 1)}/change/",
    ]
    pages += [change(Attempt.objects.get()), change(Run.objects.get()), *map(changelist, LISTS)]
    for path in pages:
        page = shown(client, path)
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
    assert shown(client, pages[0]).count("&lt;script&gt;alert(1)") >= 6


def test_characters_that_hide_or_turn_text_are_spelled_out() -> None:
    assert viewing.visible("abc\u202ecod.exe\x1b[2J\u200b") == r"abc\u202ecod.exe\u001b[2J\u200b"
    assert viewing.visible("two\nlines\t👩\u200d🚀 é") == "two\nlines\t👩\u200d🚀 é"


@pytest.mark.parametrize("model", LISTS)
def test_pages_keep_the_content_security_policy(rows: list[Any], model: Any) -> None:
    client = root()
    row = model.objects.first()
    paths = [changelist(model), change(row), f"{change(row)[:-7]}history/"]
    for path in paths:
        response = client.get(path)
        policy = response["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert not INLINE.search(response.content.decode()), path


# -- no query per row ----------------------------------------------------------------------------------------


@pytest.fixture
def many(ada: Agent) -> Any:
    """A way to make rows of every table, ``count`` at a time, each with an agent, run and lane of its own."""
    names = iter(range(10_000))

    def make(count: int) -> None:
        for number in (next(names) for _ in range(count)):
            agent = factories.agent(f"a{number}", stream=ada.stream)
            posted(agent, {"idempotency_key": f"k{number}", "agent": {"run_id": f"r{number}"}})
            Session.objects.create(name=f"s{number}", lease_until=datetime.now(UTC))
        answered("delivered", "accepted_by_server", reply_code=250, reply="OK")

    return make


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        shown(client, path)
    return len(captured)


@pytest.mark.parametrize("model", LISTS)
def test_a_list_costs_the_same_for_5_rows_and_for_50(many: Any, model: Any) -> None:
    client = root()
    many(4)
    shown(client, changelist(model))
    few = queries(client, changelist(model))
    many(41)
    assert model.objects.count() >= 45
    assert queries(client, changelist(model)) == few


def test_a_messages_page_costs_the_same_for_5_recipients_and_for_50(ada: Agent) -> None:
    few, lots = posted(
        ada, *({"to": [f"p{n}@example.org" for n in range(count)], "subject": "S"} for count in (5, 50))
    )
    answered("delivered", "accepted_by_server", reply_code=250, reply="OK")
    client = root()
    costs = [queries(client, f"/admin/outbox/message/{key}/change/") for key in (few, few, lots)]
    assert costs[1] == costs[2]


def test_an_agents_page_costs_the_same_for_5_keys_and_for_50(ada: Agent) -> None:
    client, costs = root(), []
    for _ in range(3):
        for _ in range(10):
            factories.key(ada)
        costs.append(queries(client, change(ada)))
    assert costs[1] == costs[2]


def test_nothing_is_counted_to_the_end(mail: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "COUNTED", 2)
    with CaptureQueriesContext(connection) as captured:
        page = shown(root(), changelist(Message))
    assert "These are the newest 2" in page
    counts = [
        query["sql"] for query in captured if "COUNT(" in query["sql"] and "outbox_message" in query["sql"]
    ]
    assert counts
    assert all("LIMIT 2" in statement for statement in counts)


def test_a_search_that_takes_too_long_is_stopped_and_says_so(
    mail: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewing, "PATIENCE", "SET LOCAL statement_timeout = '1ms'")
    monkeypatch.setattr("outbox.searching.Run.objects", Run.objects.extra(where=["pg_sleep(1) IS NOT NULL"]))
    client = root()
    answer = client.get(changelist(Message), {"q": "r-1"})
    assert answer.status_code == 302
    monkeypatch.undo()
    assert "was stopped" in shown(client, changelist(Message))
