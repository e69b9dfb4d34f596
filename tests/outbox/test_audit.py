"""What people and rules did stands in one chain: once each, with who, and nobody takes it back unseen."""

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test import Client, override_settings

from config.embedded import Urls
from outbox import audit, doubt, intake, keys, ledger, sessions
from outbox.doubt import Word
from outbox.keys import authenticate
from outbox.models import Agent, ApiKey, Audit, AuditLook, Delivery, Endpoint
from outbox.payloads import parse_draft
from outbox.people import make_groups
from reputation import judging, keyring, killswitch, sql, suppression, switchlog
from reputation.models import (
    Judgement,
    Numbers,
    Purge,
    Reopening,
    ResumeProposal,
    SigningKey,
    SwitchEvent,
)
from reputation.rules import Strength, Verdict
from reputation.suppression import ALL, Entry, Reason
from reputation.vault import new_master_key
from tests import factories

SECRET = "correct horse battery"
ADDRESS = "grace.hopper@example.test"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(autouse=True)
def house(live_db: Urls) -> Iterator[Urls]:
    """An agent, somebody of each kind, and a chain that begins here."""
    quick = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(AO_MASTER_KEYS=[new_master_key()], PASSWORD_HASHERS=quick):
        factories.agent("ada")
        User.objects.create_superuser("root", password=SECRET)
        User.objects.create_user("rita", password=SECRET, is_staff=True)
        owner(live_db, "TRUNCATE outbox_audit")
        yield live_db
        owner(
            live_db,
            "DELETE FROM auth_user_groups; DELETE FROM auth_group_permissions; DELETE FROM auth_group",
        )
        make_groups()


def owner(urls: Urls, statement: LiteralString, *params: Any) -> None:
    with psycopg.connect(urls.owner) as connection:
        connection.execute(statement, params)


def written() -> list[tuple[str, str, str]]:
    return list(Audit.objects.order_by("pk").values_list("who", "act", "subject"))


def everything() -> str:
    return json.dumps(list(Audit.objects.order_by("pk").values("who", "act", "subject", "detail")))


# -- each source once ----------------------------------------------------------------------------------------


def stop_of(who: str = "rita") -> int:
    return killswitch.trip("agent:ada", who=who, why="too much").epoch


def some_key() -> ApiKey:
    return keys.issue(Agent.objects.get(name="ada"), "agent", ["send"])[0]


def suppressed(source: str = "person:dana", *addresses: str) -> None:
    names = addresses or (ADDRESS,)
    suppression.suppress([Entry(name, Reason.BY_PERSON, ALL, source, why="asked us") for name in names])


def first_suppression() -> int:
    return int(sql.one("SELECT min(id) AS id FROM reputation_suppression").id)


def reopened() -> Reopening:
    return Reopening.objects.create(event_id=stop_of(), scope="agent:ada", who="rita", why="mended")


def purged() -> Purge:
    made = {"event_id": stop_of(), "scope": "agent:ada", "who": "rita", "why": "wrong mail"}
    return Purge.objects.create(**made, until=NOW)


def logged() -> None:
    rows = Agent.objects.filter(name="ada")
    LogEntry.objects.log_actions(
        User.objects.get(username="root").pk, rows, CHANGE, "Renamed.", single_object=True
    )


def concluded(strength: str) -> None:
    Judgement.objects.create(
        scope="agent:ada", rule="bounces", strength=strength, at=NOW, why="4 of 20", arithmetic={"n": 20}
    )


def endpoint() -> Endpoint:
    return Endpoint.objects.create(name="crm", url="https://crm.test/in", secret_sealed=b"sealed")


def by_root(act: Callable[[], Any]) -> Callable[[], Any]:
    def acted() -> None:
        with audit.by("root"):
            act()

    return acted


def member(verb: str) -> Callable[[], Any]:
    def act() -> None:
        getattr(User.objects.get(username="rita").groups, verb)(Group.objects.get(name="auditors"))

    return by_root(act)


def right(verb: str) -> Callable[[], Any]:
    def act() -> None:
        given = Permission.objects.get(codename="view_agent")
        getattr(User.objects.get(username="rita").user_permissions, verb)(given)

    return by_root(act)


def rita(**changes: Any) -> Callable[[], Any]:
    return by_root(lambda: User.objects.filter(username="rita").update(**changes))


def ada(**changes: Any) -> Callable[[], Any]:
    return by_root(lambda: Agent.objects.filter(name="ada").update(**changes))


# what goes before, the act, what is written of it
ACTS: list[tuple[Any, Any, tuple[str, str, str]]] = [
    (None, stop_of, ("rita", "switch.trip", "agent:ada")),
    (
        stop_of,
        lambda: killswitch.resume("agent:ada", who="omar", why="mended"),
        ("omar", "switch.resume", "agent:ada"),
    ),
    (
        stop_of,
        lambda: switchlog.note(SwitchEvent.objects.get().pk, who="omar", text="found it"),
        ("omar", "switch.noted", "agent:ada"),
    ),
    (
        stop_of,
        lambda: ResumeProposal.objects.create(event=SwitchEvent.objects.get(), who="omar", why="mended"),
        ("omar", "switch.proposed", "agent:ada"),
    ),
    (
        reopened,
        lambda: Reopening.objects.update(state="open", opened_at=NOW),
        ("role:outbox_app", "reopening.open", "agent:ada"),  # a worker of ours
    ),
    (
        reopened,
        lambda: Reopening.objects.update(state="confirmed", confirmed_by="omar"),
        ("omar", "reopening.confirmed", "agent:ada"),
    ),
    (
        purged,
        lambda: Purge.objects.update(state="undoing", undone_by="omar"),
        ("omar", "purge.undoing", "agent:ada"),
    ),
    (None, lambda: concluded("strong"), ("rule:bounces", "judgement.strong", "agent:ada")),
    (None, lambda: concluded("at_once"), ("rule:bounces", "judgement.at_once", "agent:ada")),
    (
        None,
        lambda: keyring.activate(SigningKey.objects.get(), "dana", "for once", force=True),
        None,  # it signs already: nothing happened
    ),
    (
        None,
        lambda: keyring.revoke(SigningKey.objects.get(), "dana", "it leaked"),
        ("dana", "key.revoked", "key:s1._domainkey.agents.acme.test"),
    ),
    (None, logged, ("root", "admin.changed", "agent:1")),
    (None, suppressed, ("dana", "suppression.made", "suppression:1")),
    (
        None,
        lambda: suppressed("person:dana", "a@b.test", "c@d.test"),
        ("dana", "suppression.made", "suppressions"),
    ),
    (
        suppressed,
        lambda: suppression.lift(first_suppression(), "person:dana", "asked back"),
        ("dana", "suppression.lifted", "suppression:1"),
    ),
    (
        suppressed,
        by_root(lambda: suppression.erase(ADDRESS)),
        ("root", "suppression.erased", "suppression:1"),
    ),
    (
        None,
        by_root(lambda: User.objects.create_user("zoe", password=SECRET)),
        ("root", "user.made", "user:zoe"),
    ),
    (None, rita(is_superuser=True), ("root", "user.changed", "user:rita")),
    (None, rita(password="x"), ("root", "user.changed", "user:rita")),
    (None, by_root(lambda: Group.objects.create(name="night")), ("root", "group.made", "group:night")),
    (None, member("add"), ("root", "membership.given", "user:rita")),
    (member("add"), member("remove"), ("root", "membership.taken", "user:rita")),
    (None, right("add"), ("root", "right.given", "user:rita")),
    (right("add"), right("remove"), ("root", "right.taken", "user:rita")),
    (None, by_root(some_key), ("root", "apikey.made", None)),
    (some_key, by_root(lambda: keys.revoke(ApiKey.objects.get().pk)), ("root", "apikey.changed", None)),
    (None, ada(recipients_per_hour=7), ("root", "agent.changed", "agent:ada")),
    (None, ada(enabled=False), ("root", "agent.changed", "agent:ada")),
    (None, by_root(endpoint), ("root", "endpoint.made", "endpoint:crm")),
    (
        endpoint,
        by_root(lambda: Endpoint.objects.update(secret_sealed=b"other")),
        ("root", "endpoint.changed", "endpoint:crm"),
    ),
    (None, lambda: Numbers.objects.create(changed_by="dana"), ("dana", "numbers.made", "numbers:")),
    (
        Numbers.objects.create,
        lambda: Numbers.objects.update(events=6, changed_by="dana"),
        ("dana", "numbers.changed", "numbers:"),
    ),
]


@pytest.mark.parametrize(
    ("before", "act", "expected"),
    ACTS,
    ids=[f"{n}-{(row[2] or ('', 'nothing'))[1]}" for n, row in enumerate(ACTS)],
)
def test_an_act_is_written_once_with_who(before: Any, act: Any, expected: Any) -> None:
    if before:
        before()
    known = len(written())
    act()
    fresh = written()[known:]
    if expected is None:
        assert fresh == []
        return
    [(who, what, subject)] = fresh
    assert (who, what) == expected[:2]
    assert expected[2] in (None, subject)
    assert audit.verify().broken is None


def test_a_change_tells_what_was_before_and_after() -> None:
    ada(recipients_per_hour=7, exempt=False)()
    assert Audit.objects.get().detail == {"recipients_per_hour": [100_000, 7], "exempt": [True, False]}


# what machines do all day: no row
ROUTINE: list[tuple[str, Callable[[], Any]]] = [
    ("a complaint suppresses", lambda: suppression.suppress([suppression.complaint(ADDRESS, "arf")])),
    ("weak evidence", lambda: concluded("weak")),
    ("a log-in's time", lambda: User.objects.filter(username="rita").update(last_login=NOW)),
    ("a key's last use", lambda: sql.count(keys.NOTE_USE, [some_key().pk])),
    ("an endpoint fails for the first time", lambda: Endpoint.objects.update(failing_since=NOW)),
    ("nothing changed", ada(enabled=True)),
]


@pytest.mark.parametrize("act", [act for _, act in ROUTINE], ids=[name for name, _ in ROUTINE])
def test_what_machines_do_all_day_is_not_written(act: Callable[[], Any]) -> None:
    endpoint()
    act()
    assert [each for each in written() if each[1] not in {"endpoint.made", "apikey.made"}] == []


def test_mail_is_accepted_claimed_and_settled_without_it() -> None:
    text = factories.key(Agent.objects.get(name="ada"))
    before = len(written())
    body = {"to": "grace@gmail.test", "subject": "Hi", "text": "Hi"}
    draft = parse_draft(body, now=datetime.now(UTC), idempotency_key=None)
    intake.accept([draft], authenticate(f"Bearer {text}"), request_id="r", base_url="https://ao.test")
    session = sessions.begin("audit")
    claimed = ledger.claim(session, tier=1, limit=10)
    ends = [ledger.Settlement(one.id, one.attempt, "bounced", "recipient_unknown") for one in claimed]
    assert len(ledger.settle(session, ends)) == Delivery.objects.count() == 1
    assert written()[before:] == []


def test_what_a_person_decides_of_uncertain_deliveries_is_written() -> None:
    text = factories.key(Agent.objects.get(name="ada"))
    draft = parse_draft(
        {"to": ADDRESS, "subject": "Hi", "text": "Hi"}, now=datetime.now(UTC), idempotency_key=None
    )
    intake.accept([draft], authenticate(f"Bearer {text}"), request_id="r", base_url="https://ao.test")
    assert doubt.restored("root", "restored") == 1
    found = [Delivery.objects.get().pk]
    for _ in range(2):  # the second time there is nothing left to decide
        doubt.decide(found, Word.LOST, actor="rita", note="not in their log")
    assert [row for row in written() if row[1].startswith("uncertain.")] == [
        ("rita", "uncertain.lost", "deliveries")
    ]


def test_no_address_and_no_secret_gets_in() -> None:
    row, text = keys.issue(Agent.objects.get(name="ada"), "agent", ["send"])
    suppressed()
    suppression.erase(ADDRESS)
    User.objects.create_user("zoe", password=SECRET)
    Endpoint.objects.create(name="crm", url="https://crm.test/in", secret_sealed=b"very-secret")
    found = everything()
    marks = [mark.hex() for mark in suppression.marks(ADDRESS)]
    hidden = [text, bytes(row.secret_hash).hex(), ADDRESS, "pbkdf2", "md5$", b"very-secret".hex(), *marks]
    assert [each for each in hidden if each in found] == []


# -- log-ins -------------------------------------------------------------------------------------------------


def log_in(name: str, password: str) -> None:
    Client().post("/admin/login/", {"username": name, "password": password, "next": "/admin/"})


@pytest.mark.parametrize(
    ("name", "password", "row"),
    [
        ("rita", SECRET, ("rita", "login.passed", "user:rita")),
        ("rita", "guess", ("nobody", "login.failed", "user:rita")),
        (SECRET, "rita", ("nobody", "login.failed", "user:(no such name)")),  # typed into the wrong field
        ("a\0b", "guess", ("nobody", "login.failed", "user:(no such name)")),
    ],
)
def test_a_log_in_is_written_and_a_stray_password_is_not(name: str, password: str, row: Any) -> None:
    log_in(name, password)
    assert written() == [row]
    assert SECRET not in everything()


def test_what_a_person_changes_in_the_admin_is_theirs_and_the_next_is_not() -> None:
    client = Client()
    client.force_login(User.objects.get(username="root"))
    key = some_key()
    assert client.post(f"/admin/outbox/apikey/{key.pk}/revoke/").status_code == 302
    assert [who for who, act, _ in written() if act == "apikey.changed"] == ["root"]
    some_key()
    assert written()[-1][:2] == ("role:outbox_app", "apikey.made")


# -- append only ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox_audit SET who = 'nobody'",
        "DELETE FROM outbox_audit",
        "TRUNCATE outbox_audit",
        "INSERT INTO outbox_audit (at, who, act, subject, detail, previous, digest)"
        " VALUES (now(), 'rita', 'x', '', '{}', '', '')",
        "ALTER TABLE outbox_audit DISABLE TRIGGER ALL",
        "ALTER TABLE outbox_agent DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION ao_chain() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
    ],
)
def test_the_application_cannot_touch_it(house: Urls, statement: LiteralString) -> None:
    stop_of()
    with psycopg.connect(house.app) as application, pytest.raises(psycopg.Error):
        application.execute(statement)
    assert audit.verify().rows == 1


def test_an_act_that_is_rolled_back_leaves_nothing() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        ada(enabled=False)()
        raise ZeroDivisionError
    ada(exempt=False)()
    assert [row.pk for row in Audit.objects.all()] == [1]
    assert audit.verify().broken is None


# -- tampering -----------------------------------------------------------------------------------------------


def chain(length: int = 5) -> audit.Link:
    for n in range(length):
        audit.write("rita", "tried.this", f"thing:{n}", n=n)
    return audit.verify().upto


FORGED = """
INSERT INTO outbox_audit (id, at, who, act, subject, detail, previous, digest)
SELECT max(id) + 1, now(), 'omar', 'switch.resume', 'all', '{}', %s, sha256('x') FROM outbox_audit
"""
REWRITE = """
DO $$
DECLARE r record; p bytea := '';
BEGIN
    UPDATE outbox_audit SET who = 'omar' WHERE id = 2;
    FOR r IN SELECT * FROM outbox_audit ORDER BY id LOOP
        UPDATE outbox_audit SET previous = p, digest = ao_digest(p, r.id, r.at, r.who, r.act, r.subject, r.detail)
        WHERE id = r.id RETURNING digest INTO p;
    END LOOP;
END $$
"""
# what an owner of the tables does, and the first row that tells
TAMPERED: list[tuple[str, list[LiteralString], int]] = [
    ("who", ["UPDATE outbox_audit SET who = 'omar' WHERE id = 3"], 3),
    ("what", ["UPDATE outbox_audit SET act = 'tried.that' WHERE id = 1"], 1),
    ("to what", ["UPDATE outbox_audit SET subject = 'thing:9' WHERE id = 5"], 5),
    ("when", ["UPDATE outbox_audit SET at = at - interval '1 microsecond' WHERE id = 2"], 2),
    ("detail", ["""UPDATE outbox_audit SET detail = '{"n": 7}' WHERE id = 4"""], 4),
    # the same octets, cut elsewhere
    ("a letter moved", ["UPDATE outbox_audit SET who = 'ritat', act = 'ried.this' WHERE id = 3"], 3),
    ("one removed", ["DELETE FROM outbox_audit WHERE id = 3"], 3),
    ("the first removed", ["DELETE FROM outbox_audit WHERE id = 1"], 1),
    (
        "one removed and closed up",
        ["DELETE FROM outbox_audit WHERE id = 2", "UPDATE outbox_audit SET id = id - 1 WHERE id > 2"],
        2,
    ),
    (
        "two swapped",
        [
            "UPDATE outbox_audit SET id = 99 WHERE id = 2",
            "UPDATE outbox_audit SET id = 2 WHERE id = 3",
            "UPDATE outbox_audit SET id = 3 WHERE id = 99",
        ],
        2,
    ),
]


@pytest.mark.parametrize(
    ("statements", "place"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED]
)
def test_tampering_is_found_at_its_row(house: Urls, statements: list[LiteralString], place: int) -> None:
    chain()
    for statement in statements:
        owner(house, statement)
    broken = audit.verify().broken
    assert broken is not None
    assert broken.place == place


@pytest.mark.parametrize("tied", [True, False])
def test_a_forged_row_at_the_end_is_found(house: Urls, tied: bool) -> None:
    last = chain()
    owner(house, FORGED, last.digest if tied else b"")
    broken = audit.verify().broken
    assert broken is not None
    assert broken.place == 6


def test_a_chain_written_anew_is_whole_but_for_whoever_kept_a_link(house: Urls) -> None:
    kept = chain()
    owner(house, REWRITE)
    assert audit.verify().broken is None
    broken = audit.holds(kept)
    assert broken is not None
    assert "written anew" in broken.words


def test_rows_cut_off_the_end_are_missed_by_whoever_kept_a_link(house: Urls) -> None:
    kept = chain()
    owner(house, "DELETE FROM outbox_audit WHERE id > 3")
    assert audit.verify().broken is None
    assert audit.holds(kept) is not None


# -- many at once --------------------------------------------------------------------------------------------


def test_eight_at_once_make_one_chain() -> None:
    def act(name: str) -> None:
        try:
            for n in range(25):
                with transaction.atomic():
                    audit.write(name, "tried.this", "", n=n)
                    audit.write(name, "tried.that", "", n=n)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=[f"t{n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audit.verify()
    assert (found.broken, found.rows) == (None, 8 * 25 * 2)
    rows = list(Audit.objects.order_by("pk").values_list("who", "detail__n", "act"))
    # a transaction's rows stand together: it had the chain for itself
    assert all(one[:2] == other[:2] for one, other in zip(rows[::2], rows[1::2], strict=True))


def test_an_act_under_way_does_not_make_others_wait() -> None:
    """Only a commit takes the chain, so a process that is frozen in the midst of an act holds nobody up."""
    done = threading.Event()

    def stop() -> None:
        stop_of()
        done.set()
        connections.close_all()

    with transaction.atomic():
        ada(enabled=False)()
        thread = threading.Thread(target=stop)
        thread.start()
        assert done.wait(30)
    thread.join()
    assert [*Audit.objects.order_by("pk").values_list("pk", "act")] == [
        (1, "switch.trip"),
        (2, "agent.changed"),
    ]
    assert audit.verify().broken is None


def test_a_stop_does_not_wait_for_the_chain_and_is_tied_later(house: Urls) -> None:
    with psycopg.connect(house.owner) as hanging:
        hanging.execute("SELECT pg_advisory_xact_lock(20559, 7)")
        stop_of()  # committed, after its patience
        assert [stop.scope for stop in killswitch.open_stops()] == ["agent:ada"]
        assert Audit.objects.get().pk < 0
    ada(enabled=False)()
    assert [row[1] for row in written()] == ["switch.trip", "agent.changed"]
    assert audit.verify().rows == 2


def test_no_stop_ends_another_that_waits_for_the_chain(house: Urls) -> None:
    scopes = [f"run:ada/{each}" for each in range(3)]

    def stop(scope: str) -> None:
        try:
            killswitch.trip(scope, who="rita", why="too much")
        finally:
            connections.close_all()

    with psycopg.connect(house.owner) as hanging, ThreadPoolExecutor(len(scopes)) as pool:
        hanging.execute("SELECT pg_advisory_xact_lock(20559, 7)")
        list(pool.map(stop, scopes))
        assert {stop.scope for stop in killswitch.open_stops()} == set(scopes)


# -- verified a step at a time -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        "ALTER TABLE outbox_audit ADD CONSTRAINT nothing_goes_in CHECK (false) NOT VALID",
        "ALTER FUNCTION ao_digest(bytea, bigint, timestamptz, text, text, text, jsonb) RENAME TO ao_gone",
    ],
)
def test_a_stop_stands_whatever_is_wrong_with_the_audit(house: Urls, broken: LiteralString) -> None:
    owner(house, broken)
    try:
        epoch = stop_of()
        judging.conclude([Verdict("stream:a", "bounces", Strength.STRONG, "12 of 60")])
        [tripped] = judging.judge()
        assert [stop.epoch for stop in killswitch.open_stops()] == [epoch, tripped.epoch]
    finally:
        owner(house, "ALTER TABLE outbox_audit DROP CONSTRAINT IF EXISTS nothing_goes_in")
        owner(
            house,
            "DO $$ BEGIN ALTER FUNCTION ao_gone(bytea, bigint, timestamptz, text, text, text, jsonb) "
            "RENAME TO ao_digest; EXCEPTION WHEN undefined_function THEN NULL; END $$",
        )


def test_a_look_verifies_what_is_new_and_goes_on_through_what_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "STEP", 4)
    chain(10)
    looks = [audit.look() for _ in range(3)]
    assert [look.upto.place for look in looks if look] == [4, 8, 10]
    seen = AuditLook.objects.get()
    assert (seen.upto, seen.again, seen.broken) == (10, 0, None)
    assert seen.whole_at is not None


def test_a_look_finds_what_was_changed_long_after_it_was_verified(
    house: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain(10)
    audit.look()
    owner(house, "UPDATE outbox_audit SET who = 'omar' WHERE id = 2")
    audit.look()
    assert AuditLook.objects.get().broken == 2


def test_a_look_misses_what_was_cut_off_the_end(house: Urls) -> None:
    chain(10)
    audit.look()
    owner(house, "DELETE FROM outbox_audit WHERE id > 7")
    for _ in range(2):  # and goes on saying so
        audit.look()
        assert AuditLook.objects.get().broken == 10


def test_two_do_not_look_at_once(house: Urls) -> None:
    chain()
    audit.look()
    with psycopg.connect(house.app) as other:
        other.execute("SELECT FROM outbox_auditlook FOR UPDATE")
        assert audit.look() is None


# -- read ----------------------------------------------------------------------------------------------------


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_what_was_asked_for() -> None:
    stop_of()
    ada(enabled=False)()
    assert len(said().splitlines()) == 2
    [line] = said("--who", "rita").splitlines()
    assert "switch.trip" in line
    assert len(said("--subject", "agent:ada", "--limit", "1").splitlines()) == 1
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert said("--since", tomorrow) == ""


def test_the_command_verifies_and_names_the_first_row_that_is_wrong(house: Urls) -> None:
    kept = chain()
    told = said("--verify")
    assert "whole: 5 rows" in told
    assert str(kept) in told
    assert "whole" in said("--verify", "--link", str(kept))
    owner(house, REWRITE)
    with pytest.raises(CommandError, match="row 5") as rewritten:
        said("--verify", "--link", str(kept))
    owner(house, "DELETE FROM outbox_audit WHERE id = 3")
    with pytest.raises(CommandError, match="row 3") as removed:
        said("--verify")
    assert rewritten.value.returncode == removed.value.returncode == 1


@pytest.fixture
def auditor() -> Client:
    user = User.objects.create_user("otto", is_staff=True)
    user.groups.add(Group.objects.get(name="auditors"))
    client = Client()
    client.force_login(user)
    return client


def listed(client: Client, query: str = "") -> str:
    response = client.get(f"/admin/outbox/audit/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_tells_how_far_the_chain_is_whole(auditor: Client, house: Urls) -> None:
    chain()
    assert "has not been verified yet" in listed(auditor)
    audit.look()
    assert "Chain verified up to row" in listed(auditor)
    owner(house, "DELETE FROM outbox_audit WHERE id = 3")
    audit.look()
    assert "broken at row 3" in listed(auditor)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"switch.trip", "agent.changed", "judgement.strong"}),
        ("?about=switch", {"switch.trip"}),
        ("?by=rules", {"judgement.strong"}),
        ("?by=people", {"switch.trip", "agent.changed"}),
        ("?q=rita", {"switch.trip"}),
        ("?q=nothing+like+it", set()),
        ("?since=2030-01-01T00:00", set()),
        ("?past=1h", {"switch.trip", "agent.changed", "judgement.strong"}),
    ],
)
def test_the_list_is_filtered_and_searched(auditor: Client, query: str, shown: set[str]) -> None:
    owner_rows = Audit.objects.count()
    stop_of()
    ada(enabled=False)()
    concluded("strong")
    page = listed(auditor, query)
    acts = {"switch.trip", "agent.changed", "judgement.strong"}
    assert {act for act in acts if f">{act}<" in page} == shown
    assert owner_rows < Audit.objects.count()


def test_a_row_is_told_readably_and_harmlessly(auditor: Client) -> None:
    killswitch.trip("agent:ada", who="rita", why="<script>alert(1)</script>\u202e")
    ada(enabled=False)()
    [change, trip] = Audit.objects.order_by("-pk")[:2]
    told = auditor.get(f"/admin/outbox/audit/{trip.pk}/change/").content.decode()
    assert "<script>alert" not in told
    assert "\\u202e" in told
    assert audit.Link(trip.pk, bytes(trip.digest)).__str__() in told
    assert "yes → no" in auditor.get(f"/admin/outbox/audit/{change.pk}/change/").content.decode()
