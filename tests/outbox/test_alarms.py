"""Alarms: what raises one and what ends it, who is told and how often, and when the heart stops."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import orjson
import psycopg
import pytest
from django.conf import settings as settings_module
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from outbox import alarms, conditions, ledger, pager, pulse, sessions, vigil
from outbox.conditions import CONDITIONS
from outbox.ledger import Settlement
from outbox.models import Alarm, Approval, AuditLook, Delivery, Endpoint, Quarantine, Session, Vigil
from outbox.pager import NotTold
from reputation import killswitch
from reputation.models import SendingDomain, Watch
from tests import factories
from tests.outbox.listening import Ear, ear
from tests.outbox.reviewed import asked, said
from tests.outbox.test_api import Caller

__all__ = ["ear"]

pytestmark = pytest.mark.usefixtures("live_db")

AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def manned(live_db: Any) -> int:
    """A worker is there, or that would be an alarm of its own."""
    return sessions.begin("test")


def as_owner(statement: LiteralString) -> None:
    """What the application may not do: stories are not rewritten."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)


def judged() -> None:
    Vigil.objects.all().delete()  # so that it is our turn again
    assert alarms.judge()


def is_open() -> set[str]:
    return set(Alarm.objects.filter(ended_at=None).values_list("kind", flat=True))


# what makes each of them true, and what ends it


def stopped() -> None:
    killswitch.trip("stream:agents-support", who="grace", why="too many")


def resumed_long_ago() -> None:
    killswitch.resume("stream:agents-support", who="grace", why="mended")
    as_owner("UPDATE reputation_switchevent SET at = at - interval '6 minutes'")


def watched() -> None:
    watch = {"signal": "bounces", "stream": "agents-support", "weak_since": AGO, "touched_at": AGO}
    Watch.objects.create(scope="run:ada/r-1", **watch)


def strong_again() -> None:
    Watch.objects.update(weak_since=None)


def posted(kind: str = "agents", to: int = 1) -> None:
    stream = factories.stream("mine", f"{kind}-mine.acme.test", kind)
    caller = Caller(factories.key(factories.agent("robot", stream=stream)))
    for number in range(to):
        caller.post(to=f"p{number}@example.org", **{"from": f"robot@{kind}-mine.acme.test"})


def in_doubt() -> None:
    posted(to=conditions.MANY_UNCERTAIN + 1)
    session = Session.objects.get().pk
    taken = ledger.claim(session, tier=1, limit=100)
    ledger.clear(session, [(one.id, one.attempt) for one in taken])
    ended = [Settlement(one.id, one.attempt, "uncertain", "no_reply_after_dot") for one in taken]
    ledger.settle(session, ended)


def out_of_doubt() -> None:
    one = Delivery.objects.filter(status="uncertain").first()
    ledger.settle(
        Session.objects.get().pk, [Settlement(one.pk, one.attempt, "delivered", "accepted_by_server")]
    )


def late() -> None:
    posted("transactional")
    Delivery.objects.update(next_attempt_at=datetime.now(UTC) - timedelta(seconds=90))


def silent() -> None:
    posted()
    Delivery.objects.update(next_attempt_at=datetime.now(UTC) - timedelta(minutes=6))


def gone() -> None:
    session = Session.objects.get().pk
    taken = ledger.claim(session, tier=0, limit=9) + ledger.claim(session, tier=1, limit=9)
    ledger.clear(session, [(one.id, one.attempt) for one in taken])
    sent = [Settlement(one.id, one.attempt, "delivered", "accepted_by_server") for one in taken]
    assert ledger.settle(session, sent)


def deaf() -> None:
    killswitch.resume(killswitch.trip("all", who="drill: x", why="").scope, who="x", why="x")
    as_owner("UPDATE reputation_switchevent SET at = at - interval '20 seconds'")
    Session.objects.update(started_at=AGO)


def heard() -> None:
    sessions.renew(Session.objects.get().pk, 1000)


def cleared_after_stop() -> None:
    posted()
    session = Session.objects.get().pk
    [one] = ledger.claim(session, tier=1, limit=1)
    assert ledger.clear(session, [(one.id, one.attempt)])
    killswitch.trip("stream:mine", who="drill: not told", why="")
    as_owner("UPDATE reputation_openstop SET tripped_at = tripped_at - interval '1 minute'")


def unstopped() -> None:
    killswitch.resume("stream:mine", who="grace", why="it was a test")


def unmanned() -> None:
    Session.objects.update(lease_until=datetime.now(UTC) - timedelta(minutes=1))


def manned_again() -> None:
    sessions.begin("another")


def degraded() -> None:
    factories.stream()
    SendingDomain.objects.update(state="degraded")


def mended() -> None:
    SendingDomain.objects.update(state="verified")


def unheard() -> None:
    at = {"disabled_at": AGO, "disabled_why": "410"}
    Endpoint.objects.create(name="crm", url="https://crm.example", secret_sealed=b"", enabled=False, **at)


def listened_to() -> None:
    Endpoint.objects.update(enabled=True, disabled_at=None)


def unread() -> None:
    rows = [
        Quarantine(
            at=AGO, source="smtp", envelope_to="postmaster@x.test", why="person", digest=n, content=b""
        )
        for n in (number.to_bytes(4, "big") for number in range(800))
    ]
    Quarantine.objects.bulk_create(rows)


def read_again() -> None:
    Quarantine.objects.first().delete()


def tampered() -> None:
    AuditLook.objects.update_or_create(pk=1, defaults={"broken": 7, "words": "row 7 was changed"})


def whole() -> None:
    AuditLook.objects.update(broken=None)


def stamped() -> None:
    request = asked(factories.agent(), {"text": "word " * 500})
    for _ in range(20):
        said(request, "rita", looked=5)


def somebody_read() -> None:
    said(Approval.objects.get(), "rita", "refuse", looked=5)


@dataclass(frozen=True, slots=True)
class Case:
    begins: Callable[[], None]
    ends: Callable[[], None]
    says: str


CASES = {
    "trip": Case(stopped, resumed_long_ago, "stream:agents-support was stopped"),
    "weak_evidence": Case(watched, strong_again, "bounces of run:ada/r-1"),
    "uncertain": Case(in_doubt, out_of_doubt, "11 deliveries of the last"),
    "transactional_late": Case(late, gone, "since 9"),
    "no_dots": Case(silent, gone, "work is due since 6 minutes"),
    "worker_deaf": Case(deaf, heard, "Worker test has not acknowledged epoch 2"),
    "cleared_after_stop": Case(cleared_after_stop, unstopped, "1 deliveries were cleared in stream:mine"),
    "no_worker": Case(unmanned, manned_again, "No worker is running"),
    "domain_degraded": Case(degraded, mended, "agents.acme.test broke"),
    "endpoint_disabled": Case(unheard, listened_to, "crm was disabled: 410"),
    "quarantine_full": Case(unread, read_again, "800 messages to postmaster@x.test"),
    "rubber_stamp": Case(stamped, somebody_read, "rita approved 100 % of 20 requests"),
    "audit_broken": Case(tampered, whole, "row 7 was changed"),
}


def test_every_condition_has_a_case() -> None:
    assert {condition.kind for condition in CONDITIONS} == set(CASES)


def test_in_health_nothing_is_raised() -> None:
    posted()
    posted_at_once = is_open()
    judged()
    assert is_open() == posted_at_once == set()
    assert Vigil.objects.get().failed == ""


@pytest.mark.parametrize("kind", CASES)
def test_it_is_raised_once_while_it_holds_and_ended_when_it_is_over(kind: str) -> None:
    case = CASES[kind]
    case.begins()
    judged()
    judged()
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.ended_at) == (kind, None)
    assert case.says in alarm.words
    case.ends()
    judged()
    assert is_open() == set()
    assert Alarm.objects.get().ended_at is not None


def test_what_comes_and_goes_is_one_alarm_and_an_hour_later_another() -> None:
    watched()
    judged()
    strong_again()
    judged()
    Watch.objects.update(weak_since=AGO)
    judged()
    assert Alarm.objects.filter(ended_at=None).count() == Alarm.objects.count() == 1
    strong_again()
    judged()
    Alarm.objects.update(ended_at=AGO)
    Watch.objects.update(weak_since=AGO)
    judged()
    assert Alarm.objects.count() == 2


def test_a_drill_that_leaves_its_stream_closed_is_told_after_all() -> None:
    killswitch.trip("stream:drill", who="drill: grace", why="")
    judged()
    assert is_open() == set()
    as_owner("UPDATE reputation_switchevent SET at = at - interval '6 minutes'")
    judged()
    assert is_open() == {"trip"}


def test_only_one_judges_at_a_time_and_not_twice_within_ten_seconds(live_db: Any) -> None:
    with psycopg.connect(live_db.app) as other:
        other.execute("SELECT pg_advisory_xact_lock(20559, 4)")
        assert not alarms.judge()
    assert alarms.judge()
    assert not alarms.judge()
    Vigil.objects.update(judged_at=datetime.now(UTC) - timedelta(seconds=10))
    assert alarms.judge()


# telling


@pytest.fixture
def paged(ear: Ear, settings: Settings) -> Ear:
    settings.AO_PAGER_URL = f"{ear.url}/page?key=secret"
    return ear


def later(seconds: int) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE outbox_clockshift SET shift = shift + %s * interval '1 second'", [seconds])


def test_the_pager_is_told_once_what_happened_and_where_to_read_on(paged: Ear) -> None:
    stopped()
    judged()
    assert (alarms.tell(), alarms.tell()) == (1, 0)
    [(method, path, body)] = paged.heard
    assert (method, path) == ("POST", "/page?key=secret")
    assert body["words"].startswith("stream:agents-support was stopped at")
    assert "by grace: too many" in body["words"]
    assert (body["kind"], body["key"], body["ended_at"]) == ("trip", "1", None)
    assert body["runbook"].endswith("runbook.md#trip")
    assert body["page"].endswith("/killswitch/")
    alarm = Alarm.objects.get()
    assert body["id"] == f"alarm_{alarm.pk}"
    assert alarm.told_at is not None


def test_a_pager_that_fails_is_told_again_later_and_then_no_more(paged: Ear) -> None:
    paged.answers = [500, 302]
    paged.location = f"{paged.url}/elsewhere"
    stopped()
    judged()
    assert alarms.tell() == 0
    assert Alarm.objects.get().said == "it answered 500"
    assert alarms.tell() == 0  # not at once
    assert len(paged.heard) == 1
    later(31)
    assert alarms.tell() == 0
    assert Alarm.objects.get().said == "it answered 302"  # and nobody followed it
    later(31)
    assert len(paged.heard) == 2
    later(30)
    assert alarms.tell() == 1
    later(3600)
    assert alarms.tell() == 0
    assert [path for _, path, _ in paged.heard] == ["/page?key=secret"] * 3
    assert (Alarm.objects.get().tries, Alarm.objects.get().said) == (0, "")


def test_what_is_over_before_it_was_told_is_told_with_its_end(paged: Ear) -> None:
    watched()
    judged()
    strong_again()
    judged()
    alarms.tell()
    assert paged.heard[0][2]["ended_at"] is not None
    later(3600)
    assert alarms.tell() == 0


def test_the_end_is_told_once_when_it_cannot_come_back(paged: Ear) -> None:
    watched()
    judged()
    alarms.tell()
    strong_again()
    judged()
    later(590)
    assert alarms.tell() == 0
    later(11)
    paged.answers = [500]
    assert alarms.tell() == 0  # not taken: told again
    later(31)
    assert (alarms.tell(), alarms.tell()) == (1, 0)
    begun, _, over = (body for _, _, body in paged.heard)
    assert over["words"].startswith("over: bounces of run:ada/r-1")
    assert over["words"].endswith("held for a person.")
    assert len(over["words"]) < len(begun["words"])
    assert (over["alarm"], over["id"]) == (begun["id"], f"{begun['id']}_over")
    assert over["ended_at"] is not None
    later(3600)
    assert alarms.tell() == 0


def test_what_came_back_is_not_over(paged: Ear) -> None:
    watched()
    judged()
    alarms.tell()
    strong_again()
    judged()
    later(300)
    Watch.objects.update(weak_since=AGO)
    judged()
    later(3600)
    assert alarms.tell() == 0
    strong_again()
    judged()
    later(601)
    assert alarms.tell() == 1
    assert [body["id"] for _, _, body in paged.heard] == ["alarm_1", "alarm_1_over"]


def test_the_end_of_what_nobody_was_told_of_is_not_told(paged: Ear) -> None:
    watched()
    judged()
    strong_again()
    judged()
    Alarm.objects.update(raised_at=AGO - timedelta(days=1))  # nobody is told of it any more
    later(601)
    assert alarms.tell() == 0
    assert paged.heard == []


def test_what_begins_is_told_before_what_is_over(paged: Ear) -> None:
    watched()
    judged()
    alarms.tell()
    strong_again()
    judged()
    later(601)
    stopped()
    judged()
    assert alarms.tell() == 2
    assert [body["kind"] for _, _, body in paged.heard] == ["weak_evidence", "trip", "weak_evidence"]


def test_the_address_of_the_pager_is_kept_out_of_what_it_failed_with(settings: Settings) -> None:
    settings.AO_PAGER_URL = "http://127.0.0.1:1/page?key=secret"
    stopped()
    judged()
    assert alarms.tell() == 0
    assert "ConnectionRefused" in Alarm.objects.get().said
    assert "secret" not in Alarm.objects.get().said


def test_a_pager_that_hangs_is_left_in_time(paged: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    paged.hangs = threading.Event()
    monkeypatch.setattr(pager, "TOTAL_SECONDS", 0.2)
    monkeypatch.setattr(pager, "STEP_SECONDS", 30.0)
    with pytest.raises(NotTold):
        pager.call(paged.url, b"{}")


def test_the_command_gets_the_same_words_and_none_of_our_secrets(settings: Settings, tmp_path: Any) -> None:
    script = tmp_path / "page.sh"
    script.write_text(f'cat > {tmp_path}/heard; env > {tmp_path}/env; echo "$1" > {tmp_path}/word\n')
    settings.AO_PAGER_COMMAND = ["sh", str(script), "$(id); `id`"]
    stopped()
    judged()
    assert alarms.tell() == 1
    assert orjson.loads((tmp_path / "heard").read_bytes())["kind"] == "trip"
    assert "SECRET_KEY" not in (tmp_path / "env").read_text()
    assert (tmp_path / "word").read_text() == "$(id); `id`\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sh", "-c", "echo no phone >&2; exit 3"], "ended with 3: no phone"),
        (["/nowhere/page"], "could not be run"),
        (["sh", "-c", "sleep 60 & wait"], "did not end within"),
    ],
)
def test_a_command_that_fails_says_so(command: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pager, "TOTAL_SECONDS", 1.0)
    with pytest.raises(NotTold, match=said):
        pager.run(command, b"{}")


def test_without_a_pager_nothing_is_tried() -> None:
    stopped()
    judged()
    assert alarms.tell() == 0
    assert Alarm.objects.get().tries == 0


# the heart


def test_the_heart_beats_every_minute_while_everything_can_be_judged(ear: Ear, settings: Settings) -> None:
    settings.AO_HEARTBEAT_URL = f"{ear.url}/alive"
    assert not alarms.beat()  # nobody has judged
    judged()
    assert (alarms.beat(), alarms.beat()) == (True, False)
    Vigil.objects.update(beat_at=datetime.now(UTC) - timedelta(seconds=60))
    assert alarms.beat()
    assert ear.heard == [("GET", "/alive", None)] * 2
    Vigil.objects.update(beat_at=AGO, judged_at=datetime.now(UTC) - timedelta(seconds=40))
    assert not alarms.beat()  # whoever judged is gone


def test_the_heart_stops_when_one_condition_cannot_be_judged_and_the_others_are(
    ear: Ear, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AO_HEARTBEAT_URL = f"{ear.url}/alive"
    watched()
    judged()
    monkeypatch.setattr(pulse, "NEWLY_UNCERTAIN", "SELECT 1 / 0 AS n, %(lately)s AS x")
    strong_again()
    stopped()
    judged()
    assert is_open() == {"trip"}
    assert Vigil.objects.get().failed == "uncertain"
    assert not alarms.beat()
    assert ear.heard == []


def test_an_alarm_that_cannot_be_judged_any_more_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    in_doubt()
    judged()
    out_of_doubt()
    with monkeypatch.context() as broken:
        broken.setattr(pulse, "NEWLY_UNCERTAIN", "SELECT 1 / 0 AS n, %(lately)s AS x")
        judged()
        assert is_open() == {"uncertain"}
    judged()
    assert is_open() == set()


def test_the_watch_survives_a_round_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = threading.Semaphore(0)

    def fails() -> None:
        made.release()
        raise RuntimeError("a bug")

    monkeypatch.setattr(alarms, "make_round", fails)
    monkeypatch.setattr(vigil, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(alarms, "WATCH_SECONDS", 0.01)
    over = vigil.keep()
    assert all(made.acquire(timeout=10) for _ in range(3))
    over.set()


# by hand


def test_a_person_sees_what_is_open_and_that_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("alarms")
    assert "NOBODY HAS EVER WATCHED" in capsys.readouterr().out
    watched()
    judged()
    call_command("alarms")
    said = capsys.readouterr().out
    assert "weak_evidence bounces run:ada/r-1" in said
    assert "told to nobody" in said
    assert "runbook.md#weak-evidence" in said
    assert "NOBODY" not in said
    Vigil.objects.update(judged_at=AGO)
    call_command("alarms")
    assert "NOBODY WATCHES" in capsys.readouterr().out


def test_a_person_tries_the_pager(paged: Ear, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("alarms", "--test")
    assert paged.heard[0][2]["kind"] == "test"
    assert "took it" in capsys.readouterr().out
    paged.answers = [503]
    with pytest.raises(CommandError, match="it answered 503"):
        call_command("alarms", "--test")


def test_every_alarm_has_its_place_in_the_runbook() -> None:
    told = (settings_module.BASE_DIR / "docs" / "runbook.md").read_text()
    headings = {
        line.lstrip("# ").lower().replace(" ", "-") for line in told.splitlines() if line.startswith("#")
    }
    assert {alarms.runbook(kind).partition("#")[2] for kind in [*CASES, "test"]} <= headings
