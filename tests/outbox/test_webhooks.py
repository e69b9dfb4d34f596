"""Webhooks out: signed, in order, tried again for three days, and never to an address inside."""

import asyncio
import base64
import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from outbox import endpoints, webhooks
from outbox.models import Endpoint, Notice
from outbox.notifier import Notifier
from outbox.webhook_events import DELAYS, MOST_ASKED, Verdict, delay, pause, verdict
from outbox.webhook_signing import new_secret, signed
from outbox.webhooks import Outcome
from reputation import resealing, sql
from reputation.fetching import Answer, Fetcher, FetchFailed, Limits, Ways
from reputation.resolver import _reachable
from reputation.vault import new_master_key
from tests.authority import Authority
from tests.clocks import later, shifted

URL = "https://hooks.example.org/in"
WRITE = """
INSERT INTO outbox_notice (id, endpoint_id, kind, subject, event_id, at, data, state, attempts, next_attempt_at, said)
VALUES (ao_uuid7(), %s, 'delivery.queued', %s, %s, ao_now(), '{"delivery": "dlv_1"}', 'waiting', 0, ao_now(), '')
"""
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _master_key(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]


def made(name: str = "one") -> tuple[Endpoint, str]:
    return endpoints.add(name, URL)


def write(endpoint: Endpoint, subject: str = "dlv_1", event: str | None = None) -> str:
    event = event or f"evt_{next(_numbers)}"
    sql.count(WRITE, [endpoint.pk, subject, event])
    return event


def claimed(limit: int = 100) -> list[str]:
    return [due.event_id for due in webhooks.claim(limit)]


class Posts:
    """Answers as told, and remembers what was posted."""

    def __init__(self, *answers: int | Answer | Exception) -> None:
        self.answers = itertools.chain(answers, itertools.repeat(204))
        self.seen: list[tuple[str, bytes, Mapping[str, str]]] = []

    async def post(
        self, url: str, body: bytes, headers: dict[str, str], limits: Limits | None = None
    ) -> Answer:
        self.seen.append((url, body, headers))
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer, "", b"no" if answer >= 300 else b"")

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, _, headers in self.seen]


def run(posts: Any, rounds: int = 1) -> None:
    """So many rounds of the sender, each with all it began."""

    async def act() -> None:
        notifier = Notifier(posts)
        for _ in range(rounds):
            await notifier.round()
            await asyncio.gather(*notifier._under_way)
        notifier._threads.shutdown()

    asyncio.run(asyncio.wait_for(act(), 30))


# -- signatures ----------------------------------------------------------------------------------------------


def test_the_signature_is_the_specifications_and_the_library_agrees() -> None:
    secret, body, now = new_secret(), b'{"type":"x"}', datetime.now(UTC)
    headers = signed([secret], "evt_1", now, body)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert 24 <= len(key) <= 64
    said = f"evt_1.{int(now.timestamp())}.".encode() + body
    by_hand = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{by_hand}"
    assert Webhook(secret).verify(body, headers) == {"type": "x"}
    for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(now.timestamp()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers | changed)


@pytest.mark.usefixtures("live_db")
def test_while_a_secret_rotates_both_sign_and_then_the_new_one_alone(live_db: Any) -> None:
    endpoint, old = made()
    new = endpoints.rotate(endpoint.pk)
    write(endpoint)
    first = Posts()
    run(first)
    [(_, body, headers)] = first.seen
    assert Webhook(old).verify(body, dict(headers)) == Webhook(new).verify(body, dict(headers))
    with shifted(live_db, timedelta(hours=25)):
        write(endpoint)
        second = Posts()
        run(second)
        [(_, body, headers)] = second.seen
        Webhook(new).verify(body, dict(headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(body, dict(headers))
        webhooks.forget()
    assert bytes(Endpoint.objects.get().old_secret_sealed) == b""


@pytest.mark.usefixtures("live_db")
def test_secrets_are_sealed_and_resealed_with_all_others(settings: Any) -> None:
    endpoint, secret = made()
    endpoints.rotate(endpoint.pk)
    assert secret.encode() not in bytes(Endpoint.objects.get().old_secret_sealed)
    settings.AO_MASTER_KEYS = [new_master_key(), *settings.AO_MASTER_KEYS]
    counted = {tally.column: tally.resealed for tally in resealing.reseal() if "Endpoint" in tally.column}
    assert counted == {"outbox.Endpoint.secret_sealed": 1, "outbox.Endpoint.old_secret_sealed": 1}


# -- order, retries and ends ---------------------------------------------------------------------------------


def test_the_schedule_ends_after_three_days_and_jitters() -> None:
    assert timedelta(days=3) < timedelta(seconds=sum(DELAYS)) < timedelta(days=3, hours=6)
    assert delay(1, 0.0) < DELAYS[0] < delay(1, 1.0)
    assert verdict(500, len(DELAYS)) is Verdict.LATER
    assert verdict(500, len(DELAYS) + 1) is Verdict.GIVEN_UP


VERDICTS = [
    (200, Verdict.TAKEN, ""),
    (204, Verdict.TAKEN, ""),
    (301, Verdict.LATER, "a redirect is a failure"),
    (304, Verdict.LATER, ""),
    (400, Verdict.LATER, "they may mend it"),
    (410, Verdict.UNWANTED, "gone"),
    (429, Verdict.LATER, ""),
    (503, Verdict.LATER, ""),
    (None, Verdict.LATER, "no answer"),
]


@pytest.mark.parametrize(("status", "follows", "_why"), VERDICTS)
def test_what_an_answer_means(status: int | None, follows: Verdict, _why: str) -> None:
    assert verdict(status, 1) is follows


@pytest.mark.usefixtures("live_db")
def test_what_follows_in_a_subject_waits_until_what_was_before_has_ended(live_db: Any) -> None:
    endpoint, _ = made()
    first, second, third = write(endpoint, "a"), write(endpoint, "a"), write(endpoint, "b")
    posts = Posts(500, 204)
    run(posts)
    assert posts.ids == [first, third]
    run(posts)
    assert posts.ids == [first, third], "its first is tried in five seconds"
    with shifted(live_db, timedelta(seconds=10)):
        run(posts, rounds=2)
    assert posts.ids == [first, third, first, second]
    assert set(Notice.objects.values_list("state", flat=True)) == {"taken"}


@pytest.mark.usefixtures("live_db")
def test_two_claims_share_nothing_and_keep_the_order() -> None:
    endpoint, _ = made()
    first = write(endpoint, "a")
    write(endpoint, "a")
    assert (claimed(), claimed()) == ([first], [])


@pytest.mark.usefixtures("live_db")
def test_a_failure_is_tried_on_the_schedule_and_given_up_at_its_end(live_db: Any) -> None:
    endpoint, _ = made()
    event = write(endpoint)
    posts = Posts(*[FetchFailed("no answer")] * 20)
    run(posts)
    for seconds in DELAYS[:-1]:
        later(live_db, timedelta(seconds=seconds * 0.5))
        run(posts)
        early = len(posts.seen)
        later(live_db, timedelta(seconds=seconds * 0.61))
        run(posts)
        assert len(posts.seen) == early + 1
    assert set(posts.ids) == {event}
    assert len({body for _, body, _ in posts.seen}) == 1
    one = Notice.objects.get()
    assert (one.state, one.attempts, one.said, one.status) == ("waiting", len(DELAYS), "no answer", None)
    assert Endpoint.objects.get().enabled
    later(live_db, "27 hours")
    run(posts)
    assert Notice.objects.get().state == "given_up"
    disabled = Endpoint.objects.get()
    assert not disabled.enabled
    assert disabled.disabled_why.startswith("It has failed for 3 days")


@pytest.mark.usefixtures("live_db")
def test_gone_disables_at_once_and_nothing_more_goes_there() -> None:
    endpoint, _ = made()
    write(endpoint, "a")
    posts = Posts(410)
    run(posts)
    write(endpoint, "b")
    run(posts)
    assert len(posts.seen) == 1
    row = Endpoint.objects.get()
    assert (row.enabled, row.disabled_why) == (False, "It answered 410: it wants no more.")
    assert endpoints.try_out(endpoint.pk) is None
    assert endpoints.enable(endpoint.pk)
    run(posts)
    assert len(posts.seen) == 3, "what had waited goes out"


@pytest.mark.usefixtures("live_db")
def test_a_success_ends_the_failing(live_db: Any) -> None:
    endpoint, _ = made()
    write(endpoint)
    posts = Posts(500)
    run(posts)
    assert Endpoint.objects.get().failing_since
    with shifted(live_db, timedelta(seconds=10)):
        run(posts)
    row = Endpoint.objects.get()
    assert (row.failing_since, row.rests_until) == (None, None)


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAUSES = [
    (429, "120", 120.0),
    (503, " 7 ", 7.0),
    (429, "Mon, 23 Nov 2026 13:00:00 GMT", 3600.0),
    (503, "Monday, 23-Nov-26 13:00:00 GMT", 3600.0),  # RFC 9110 5.6.7: the old forms, too
    (503, "Mon Nov 23 13:00:00 2026", 3600.0),
    (429, "Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
    (429, "Tue, 23 Nov 2027 11:00:00 GMT", MOST_ASKED),
    (429, "9" * 400, MOST_ASKED),
    (429, "-5", 0.0),
    (429, "1.5", 0.0),
    (429, "²", 0.0),
    (429, "soon", 0.0),
    (429, "Mon, 99 Nov 2026 99:00:00 GMT", 0.0),
    (429, "Mon, 23 Nov " + "9" * 40 + " 13:00:00 GMT", 0.0),
    (429, "", 0.0),
    (500, "120", 0.0),
    (204, "120", 0.0),
    (None, "120", 0.0),
]


@pytest.mark.parametrize(("status", "given", "seconds"), PAUSES)
def test_how_long_an_answer_asks_to_be_left_alone(status: int | None, given: str, seconds: float) -> None:
    assert pause(status, given, NOON) == seconds


@pytest.mark.usefixtures("live_db")
def test_an_endpoint_that_asks_for_a_pause_gets_it_for_all_there_is(live_db: Any) -> None:
    endpoint, _ = made()
    first = write(endpoint, "a")
    posts = Posts(Answer(429, "", b"slow down", "600"))
    run(posts)
    second = write(endpoint, "b")
    later(live_db, timedelta(seconds=590))
    run(posts)
    assert posts.ids == [first]
    later(live_db, timedelta(seconds=11))
    run(posts, rounds=2)
    assert posts.ids[0] == first
    assert sorted(posts.ids[1:]) == sorted([first, second])


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize("other", [Outcome(Verdict.TAKEN, 204), Outcome(Verdict.LATER, 500, "no", 5.0)])
def test_what_was_under_way_meanwhile_does_not_end_the_pause(other: Outcome, live_db: Any) -> None:
    endpoint, _ = made()
    write(endpoint, "a")
    write(endpoint, "b")
    one, two = webhooks.claim(2)
    webhooks.settle(one, Outcome(Verdict.LATER, 429, "slow down", 5.0, asked=600.0))
    webhooks.settle(two, other)
    write(endpoint, "c")
    later(live_db, timedelta(seconds=590))
    assert claimed() == []


@pytest.mark.usefixtures("live_db")
def test_a_failing_endpoint_rests_and_then_gets_one_place() -> None:
    bad, _ = made("bad")
    good, _ = made("good")
    for subject in "abc":
        write(bad, subject)
    [due] = webhooks.claim(1)
    webhooks.settle(due, Outcome(Verdict.LATER, 500, "no", 5.0))
    expected = [write(good, subject) for subject in "abc"]
    assert claimed() == expected
    sql.count("UPDATE outbox_endpoint SET rests_until = ao_now() WHERE name = 'bad'")
    assert len(claimed()) == 1


@pytest.mark.usefixtures("live_db")
def test_one_endpoint_has_few_of_the_places() -> None:
    endpoint, _ = made()
    for number in range(webhooks.PLACES_OF_ONE + 3):
        write(endpoint, str(number))
    assert len(claimed()) == webhooks.PLACES_OF_ONE
    other, _ = made("other")
    event = write(other)
    assert claimed() == [event]


@pytest.mark.usefixtures("live_db")
def test_what_a_dead_sender_had_goes_out_again_and_it_settles_nothing_late() -> None:
    endpoint, _ = made()
    event = write(endpoint)
    [lost] = webhooks.claim(10)
    assert claimed() == []
    sql.count("UPDATE outbox_notice SET leased_until = clock_timestamp() - interval '1 second'")
    [again] = webhooks.claim(10)
    assert (again.event_id, again.attempt) == (event, 2)
    assert not webhooks.settle(lost, Outcome(Verdict.TAKEN, 204))
    assert webhooks.settle(again, Outcome(Verdict.TAKEN, 204))


@pytest.mark.usefixtures("live_db")
def test_a_replay_keeps_the_webhook_id() -> None:
    endpoint, _ = made()
    events = [write(endpoint, subject) for subject in "ab"]
    posts = Posts()
    run(posts)
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert webhooks.again_since(endpoint.pk, since, taken=False) == 0
    assert webhooks.again_since(endpoint.pk, since, taken=True) == 2
    run(posts)
    assert posts.ids == [*events, *events]
    one = Notice.objects.get(event_id=events[0])
    assert (webhooks.again([one.pk]), webhooks.again([one.pk])) == (1, 0)


@pytest.mark.usefixtures("live_db")
def test_a_try_goes_to_one_endpoint_whatever_it_wants() -> None:
    endpoint, _ = endpoints.add("one", URL, events=["stop.tripped"])
    made("two")
    event = endpoints.try_out(endpoint.pk)
    posts = Posts()
    run(posts)
    assert posts.ids == [event]
    assert orjson.loads(posts.seen[0][1])["type"] == "webhook.test"


# -- never to an address inside ------------------------------------------------------------------------------

REFUSED = [
    "http://hooks.example.org/",
    "file:///etc/passwd",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://localhost/",
    "https://user:pass@hooks.example.org/",
    "https://hooks.example.org/#part",
    "https://hooks.example.org:25/",
    "https://hooks.example.org:6379/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_leads_inside_is_refused_when_it_is_saved_and_when_it_is_sent_to(
    url: str, settings: Any
) -> None:
    settings.AO_ALLOW_LOOPBACK = False
    with pytest.raises(endpoints.BadUrl):
        endpoints.check_url(url)
    with pytest.raises(FetchFailed):
        asyncio.run(Fetcher(Names("127.0.0.1"), ways=endpoints.ways()).post(url, b"", {}))


INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_not_followed(address: str) -> None:
    assert not _reachable(address, allow_loopback=False)


class Names:
    """The guard's part of the resolver: what each look-up finds, the last for ever."""

    def __init__(self, *found: str) -> None:
        self.found = list(found)
        self.asked = 0

    async def addresses(self, host: str) -> list[str]:
        self.asked += 1
        address = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        return [address] if _reachable(address, allow_loopback=address == "127.0.0.1") else []


@contextmanager
def receiver(said: bytes, context: Any = None) -> Iterator[Callable[[Callable[[int], Any]], Any]]:
    """Runs what it is given with a real server's port; `requests` of the runner are what came in."""

    def go(act: Callable[[int], Any]) -> Any:
        async def inside() -> Any:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                go.requests.append(head + await reader.readexactly(length))  # type: ignore[attr-defined]
                writer.write(said)
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
            async with server:
                return await act(server.sockets[0].getsockname()[1])

        return asyncio.run(asyncio.wait_for(inside(), 30))

    go.requests = []  # type: ignore[attr-defined]
    yield go


def test_a_post_reaches_a_real_server_over_tls_and_is_one_request(tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    names = Names("127.0.0.1", "10.0.0.1")  # rebinding: inside at the second look

    async def post(port: int) -> Answer:
        fetcher = Fetcher(names, port=port, ca_file=authority.ca_file)
        answer = await fetcher.post("https://hooks.one.test/in?a=b", b'{"x":1}', {"webhook-id": "evt_1"})
        with pytest.raises(FetchFailed, match="no address"):
            await fetcher.post("https://hooks.one.test/in", b"", {})
        return answer

    with receiver(
        b"HTTP/1.1 202 OK\r\nContent-Length: 99\r\n\r\n", authority.context("hooks.one.test")
    ) as go:
        assert go(post).status == 202, "what becomes of the rest does not matter"
    [request] = go.requests  # type: ignore[attr-defined]
    assert request.startswith(b"POST /in?a=b HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"x":1}')
    assert b"webhook-id: evt_1\r\n" in request
    assert names.asked == 2


BUSY = b"HTTP/1.1 429 Slow\r\nRetry-After: 90\r\nContent-Length: 4\r\n\r\nslow"


def test_the_pause_that_is_asked_for_is_heard() -> None:
    async def post(port: int) -> Answer:
        fetcher = Fetcher(Names("127.0.0.1"), ways=Ways(loopback=True))
        return await fetcher.post(f"http://localhost:{port}/", b"{}", {})

    with receiver(BUSY) as go:
        assert go(post) == Answer(429, "", b"slow", "90")


REDIRECT = b"HTTP/1.1 307 Go\r\nLocation: https://127.0.0.1/\r\nContent-Length: 5\r\n\r\nthere"


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def post(port: int) -> Answer:
        fetcher = Fetcher(Names("127.0.0.1"), ways=Ways(loopback=True))
        return await fetcher.post(f"http://localhost:{port}/", b"{}", {})

    with receiver(REDIRECT) as go:
        assert go(post) == Answer(307, "", b"there")
    assert len(go.requests) == 1  # type: ignore[attr-defined]
