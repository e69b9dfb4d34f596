"""No request and no credential makes mail of another lane: whatever is asked, what leaves is the credential's own.

Random posts go through the real door of drafts and the real intake onto a real database, are claimed together and
pressed; of each envelope everything is looked at that a receiver could hold against a lane. DESIGN.md section 4,
guarantee 5.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.message import Message as Parsed
from email.policy import default
from email.utils import getaddresses
from typing import Any
from uuid import UUID

import idna
import orjson
import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox import ids, intake, ledger, press, sessions, verp
from outbox.delivery import Envelope
from outbox.keys import authenticate
from outbox.models import Agent, Delivery, Message
from outbox.payloads import parse_draft
from outbox.press import Job
from outbox.problems import Refused
from reputation import signing
from reputation.models import Stream
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.lanes import BY_AGENT, LANES, Lane, Post, enrol, posts

VERP = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class House:
    """Credentials by agent, and what each lane's selectors show in the DNS."""

    keys: Mapping[str, str]
    records: Mapping[str, Mapping[str, str]]


@pytest.fixture
def sealed(live_db: Any) -> Iterator[None]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        press._verp_key.cache_clear()
        yield
        press._verp_key.cache_clear()


@pytest.fixture
def house(sealed: None) -> House:
    records = {lane.stream: enrol(lane) for lane in LANES}
    of_agents = {
        name: factories.key(factories.agent(name, stream=Stream.objects.get(name=lane.stream)))
        for name, lane in BY_AGENT.items()
    }
    return House(of_agents, records)


# -- what is done --------------------------------------------------------------------------------------------


def accept(house: House, post: Post) -> tuple[str, list[UUID]]:
    """Post it: a word for the answer, and the deliveries that were accepted."""
    caller = authenticate(f"Bearer {house.keys[post.agent]}")
    try:
        draft = parse_draft(post.body, now=datetime.now(UTC), idempotency_key=post.key)
    except Refused as refusal:
        return refusal.problem.code, []
    [answer] = intake.accept([draft], caller, request_id="r", base_url="https://ao.test")
    body = orjson.loads(answer.body)
    if answer.status != 202:
        return body["code"], []
    made = [ids.parsed("dlv", each["id"]) for each in body["deliveries"]]
    return "accepted", [key for key in made if key]


def claim_all() -> list[Job]:
    """Everything that waits, of all lanes together, as a worker gathers it; and let it end."""
    session = sessions.begin("isolation")
    claimed = [one for tier in (0, 1) for one in iter_claims(session, tier)]
    jobs = press.gather(session, claimed)
    ended = [ledger.Settlement(one.id, one.attempt, "bounced", "recipient_unknown") for one in claimed]
    assert len(ledger.settle(session, ended)) == len(claimed)
    sessions.end(session)
    return jobs


def iter_claims(session: int, tier: int) -> Iterator[ledger.Claimed]:
    while found := ledger.claim(session, tier=tier, limit=100):
        yield from found


# -- what is looked at ---------------------------------------------------------------------------------------


def check_envelope(house: House, lane: Lane, agent: str, job: Job, sent: Envelope) -> None:
    """Everything by which a receiver could tell a lane."""
    assert job.route == lane.route
    token = verp.token_in(sent.mail_from) or ""
    assert sent.mail_from == f"b+{token}@rp.{lane.domain}"
    assert verp.read_token(token, [VERP.encode()], date.today()) == job.claimed.id
    assert sent.envid == token
    parsed = message_from_bytes(sent.content)
    check_from(lane, sent.content)
    [message_id] = parsed.get_all("Message-ID", [])
    assert re.fullmatch(r"<[^<>@\s]+@(.+)>", message_id)[1] == lane.domain  # type: ignore[index]
    assert parsed.get_all("X-AO-Ref") == [token]
    assert parsed.get_all("Feedback-ID") == [f"none:{agent}:{lane.stream}:agentoutbox"]
    check_signatures(house, lane, parsed, sent.content)
    check_nothing_of_others(lane, agent, parsed)


def check_from(lane: Lane, content: bytes) -> None:
    """One author, in the lane's domain, to every parser a receiver might have."""
    [header] = message_from_bytes(content).get_all("From", [])
    unfolded = str(header).replace("\r\n", "")  # compat32 gives a Header for what is not ASCII
    [(_, address)] = getaddresses([unfolded])
    [author] = message_from_bytes(content, policy=default)["From"].addresses
    last = re.search(r"([^<>\s]+)>?$", unfolded)
    seen = {address.rpartition("@")[2], author.domain, last and last[1].rpartition("@")[2]}
    assert seen == {lane.domain}


def check_signatures(house: House, lane: Lane, parsed: Parsed, content: bytes) -> None:
    """All are of the lane's selectors and hold, by a DNS that knows no other lane."""
    found = signing.verify(content, house.records[lane.stream].get)
    assert all(each.valid and each.domain == lane.domain for each in found)
    assert tuple(each.selector for each in found) == lane.selectors
    assert len(parsed.get_all("DKIM-Signature", [])) == len(found)


OF_THE_AUTHOR = {"from", "to", "cc", "reply-to", "subject", "in-reply-to", "references"}


def check_nothing_of_others(lane: Lane, agent: str, parsed: Parsed) -> None:
    """What we write names no other lane; what the author wrote is his to word; each field is there once."""
    fields = [(name.lower(), str(value)) for name, value in parsed.items()]
    names = [name for name, _ in fields if name != "dkim-signature"]
    assert max(Counter(names).values()) == 1
    assert not {"sender", "return-path", "bcc"} & set(names)
    ours = [value for name, value in fields if name not in OF_THE_AUTHOR and not re.match("x-(?!ao-)", name)]
    said = {word for value in ours for word in re.findall(r"[\w.-]+", re.sub(r"\bbh?=[^;]*", "", value))}
    assert not said & ({mark for other in LANES if other is not lane for mark in other.marks} - {agent})


def check_rows(lane: Lane, agent: str, claimed: ledger.Claimed) -> None:
    """The rows say the same as the bytes: reports and stops go by them."""
    delivery = Delivery.objects.select_related("lane__domain", "lane__stream", "lane__agent").get(
        id=claimed.id
    )
    message = Message.objects.select_related("domain", "stream", "agent").get(id=claimed.message_id)
    for row in (delivery.lane, message):
        assert (row.stream.name, row.domain.name, row.agent.name) == (lane.stream, lane.domain, agent)
    own = {f"stream:{lane.stream}", f"domain:{lane.domain}", f"agent:{agent}", f"route:{lane.stream}"}
    kinds = ("stream:", "domain:", "agent:", "route:")
    assert {scope for scope in claimed.scopes if scope.startswith(kinds)} == own


def named(domain: str) -> str:
    """The A-label of a domain as it is meant, however it is spelt; nothing if it is no domain."""
    try:
        return idna.encode(domain.rstrip("."), uts46=True).decode().lower()
    except idna.IDNAError:
        return ""


# -- and so --------------------------------------------------------------------------------------------------


def test_whatever_is_asked_what_leaves_is_of_the_credentials_own_lane(house: House) -> None:
    tally: Counter[str] = Counter()
    whose: dict[UUID, str] = {}

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(posts(), min_size=1, max_size=6))
    def holds(wanted: list[Post]) -> None:
        for post in wanted:
            answer, deliveries = accept(house, post)
            tally[answer] += 1
            check_answer(post, answer)
            for key in deliveries:  # an answer given once more names the same deliveries: one's own
                assert whose.setdefault(key, post.agent) == post.agent
        for job in claim_all():
            agent = whose[job.claimed.id]
            check_rows(BY_AGENT[agent], agent, job.claimed)
            check_envelope(house, BY_AGENT[agent], agent, job, press.envelope(job))
            tally["envelopes"] += 1

    holds()
    print(f"\n{dict(tally)}")
    # it has tried what it is about
    assert tally["accepted"] > 100
    assert tally["sender_not_in_lane"] > 30


def check_answer(post: Post, answer: str) -> None:
    """A From of another lane is never taken, and never replaced by one's own; one's own is never called foreign."""
    own = BY_AGENT[post.agent].domain
    if answer == "accepted":
        assert post.meant == "" or named(post.meant) == own
    if answer == "sender_not_in_lane":
        assert not post.plain


@pytest.mark.parametrize(
    "sender",
    [
        "boss@mail.acme.test",  # another lane of the same organisation
        "boss@acme.test",  # the organisation itself
        "boss@eu.sales.acme.test",  # below the lane's domain, and another lane
        "boss@x.sales.acme.test",  # below the lane's domain, and nobody's
        "boss@rp.sales.acme.test",  # the return-path host
        "boss@sаles.acme.test",  # looks the same
        "ada@sales.acme.test.evil.test",
        "boss@post.münchen.test",  # another lane, as people write it
        '"ada@sales.acme.test" <boss@mail.acme.test>',
    ],
)
def test_a_sender_outside_the_lane_is_refused_by_that_name(house: House, sender: str) -> None:
    body = {"from": sender, "to": "grace@gmail.test", "subject": "Hi", "text": "Hi"}
    assert accept(house, Post("ada", body, None, "", plain=False)) == ("sender_not_in_lane", [])


@pytest.mark.parametrize(
    ("agent", "sender", "address"),
    [
        ("ada", None, "ada@sales.acme.test"),  # the stream's own
        ("bob", "bob@SALES.Acme.TEST", "bob@sales.acme.test"),
        ("dan", "dan@post.münchen.test", "dan@post.xn--mnchen-3ya.test"),
        ("robot", '"boss@sales.acme.test" <robot@mail.acme.test>', "robot@mail.acme.test"),
    ],
)
def test_the_lanes_own_domain_may_be_spelt_as_people_spell_it(
    house: House, agent: str, sender: str | None, address: str
) -> None:
    body = {"from": sender, "to": "grace@gmail.test", "subject": "Hi", "text": "Hi"}
    assert accept(house, Post(agent, body, None, "", plain=True))[0] == "accepted"
    [job] = claim_all()
    sent = press.envelope(job)
    check_envelope(house, BY_AGENT[agent], agent, job, sent)
    [author] = message_from_bytes(sent.content, policy=default)["From"].addresses
    assert author.addr_spec == address


def test_the_same_post_under_the_same_key_is_each_agents_own(house: House) -> None:
    body = {"to": "grace@gmail.test", "subject": "Hi", "text": "Hi", "agent": {"run_id": "r-1"}}
    whose = {}
    for agent in [*BY_AGENT, *BY_AGENT]:
        _, [key] = accept(house, Post(agent, body, "k-1", "", plain=True))
        assert whose.setdefault(key, agent) == agent
    jobs = {whose[job.claimed.id]: job for job in claim_all()}
    assert jobs.keys() == BY_AGENT.keys()
    for agent, job in jobs.items():
        check_envelope(house, BY_AGENT[agent], agent, job, press.envelope(job))


def test_an_agent_that_is_moved_takes_nothing_along(house: House) -> None:
    """Same agent, same run, same recipient: what was accepted in a lane leaves by it, what comes later by the new."""
    body = {"to": "grace@gmail.test", "subject": "Hi", "text": "Hi", "agent": {"run_id": "r-1"}}
    post = Post("ada", body, None, "", plain=True)
    _, [before] = accept(house, post)
    Agent.objects.filter(name="ada").update(stream=Stream.objects.get(name="agents-post"))
    _, [after] = accept(house, post)
    lanes = {before: LANES[0], after: LANES[2]}
    jobs = claim_all()
    assert {job.claimed.id for job in jobs} == lanes.keys()
    for job in jobs:
        check_envelope(house, lanes[job.claimed.id], "ada", job, press.envelope(job))
