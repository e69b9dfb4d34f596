"""Mail that waits: messages of 4 KB, each with a text of its own, entered by SQL alone.

What the intake would have written, by the hundred thousand: one message is accepted by the product and the
rows are copies of it with their own keys, recipients and texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bench.installation import RUN, Installation
from bench.processes import BenchError

BODY_BYTES = 4096
DOMAINS = ("gmail.test", "outlook.test", "yahoo.test", "corp.test", "other.test")

PARAGRAPH = (
    "We looked at what your team does with its warehouse, and at three others of about the same size in "
    "your region. Two of them have moved their night shift to the new plan; the third one measures first.\n"
)
FILLER = (PARAGRAPH * (BODY_BYTES // len(PARAGRAPH) + 1))[: BODY_BYTES - 60]

KEEP_MODEL = """
CREATE TABLE bench_message AS SELECT * FROM outbox_message;
CREATE TABLE bench_delivery AS SELECT *, split_part(recipient, '@', 2) AS domain FROM outbox_delivery;
"""

# Copies of the model, each with its own key (whose last twelve bits are the delivery's number), recipient and
# text. By record, so that columns this file has never heard of are copied too.
ENTER = """
WITH made AS MATERIALIZED (
    SELECT n, (%(domains)s::text[])[1 + n %% %(count)s] AS domain,
           overlay(ao_uuid7()::text PLACING '000' FROM 34) AS key
    FROM generate_series(1, %(n)s) AS n
), messages AS (
    INSERT INTO outbox_message SELECT copy.* FROM made, bench_message AS model,
    jsonb_populate_record(NULL::outbox_message, to_jsonb(model) || jsonb_build_object(
        'id', key, 'created_at', ao_now(), 'expires_at', ao_now() + interval '5 days',
        'header_id', '<' || replace(key, '-', '') || '@agents.acme.test>',
        'addressing', model.addressing || jsonb_build_object('to', jsonb_build_array(jsonb_build_object(
            'name', 'Reader ' || n, 'local', 'ok.reader' || n, 'domain', domain))),
        'addresses', jsonb_build_array('ok.reader' || n || '@' || domain),
        'subject', 'Your night shift, reader ' || n,
        'text', 'Dear reader ' || n || E',\n\n' || %(filler)s)) AS copy
)
INSERT INTO outbox_delivery SELECT copy.* FROM made JOIN bench_delivery AS model USING (domain),
jsonb_populate_record(NULL::outbox_delivery, to_jsonb(model) || jsonb_build_object(
    'id', left(key, 33) || '001', 'message_id', key, 'recipient', 'ok.reader' || n || '@' || domain,
    'next_attempt_at', ao_now(), 'expires_at', ao_now() + interval '5 days')) AS copy
"""

ASLEEP: Final = "UPDATE outbox_lane SET state = 'asleep', wake_at = '9999-12-31 00:00+00'"
AWAKE = "UPDATE outbox_lane SET state = 'awake', wake_at = ao_now()"
FINISHED = "SELECT count(*) AS n FROM outbox_delivery WHERE finished_at IS NOT NULL"
EMPTY = "TRUNCATE outbox_message, outbox_attachment, outbox_delivery, outbox_attempt, outbox_event"


def text_of(n: int) -> str:
    """The body of the n-th message, as `ENTER` writes it."""
    return f"Dear reader {n},\n\n{FILLER}"


def recipient_of(n: int) -> str:
    """The n-th recipient."""
    return f"ok.reader{n}@{DOMAINS[n % len(DOMAINS)]}"


def draft(*recipients: str, text: str = "x") -> dict[str, Any]:
    """A post of this agent's, as the API takes it."""
    run = {"run_id": RUN, "purpose": "benchmark"}
    return {"to": list(recipients), "subject": "Your night shift", "text": text, "agent": run}


class Backlog:
    """Waiting mail of one installation. The model is accepted by the product, the rest copied from it."""

    def __init__(self, installation: Installation) -> None:
        self._connection = installation.connect()
        accept([draft(*(f"ok.model@{domain}" for domain in DOMAINS))], installation.api_key)
        self._connection.execute(KEEP_MODEL)

    def empty(self) -> None:
        """No messages, no deliveries, no story."""
        self._connection.execute(EMPTY)
        self._connection.execute(ASLEEP)

    def enter(self, n: int) -> None:
        """`n` messages wait, their lanes asleep."""
        fields = {"n": n, "domains": list(DOMAINS), "count": len(DOMAINS), "filler": FILLER}
        self._connection.execute(ENTER, fields)
        self._connection.execute(ASLEEP)

    def release(self) -> None:
        """Let the lanes be visited, and say so, as an accept does."""
        from outbox import alarm

        self._connection.execute(AWAKE)
        self._connection.execute(alarm.NOTIFY, [alarm.CHANNEL, ""])

    def finished(self) -> int:
        """How many deliveries are final."""
        return int(str(self._connection.execute(FINISHED).fetchone()[0]))  # type: ignore[index]

    def settle_down(self) -> None:
        """What autovacuum would have done by the time a backlog has grown."""
        self._connection.execute("VACUUM (ANALYZE) outbox_delivery, outbox_lane, outbox_message")


def accept(drafts: Sequence[dict[str, Any]], api_key: str) -> None:
    """Accept drafts through the product's own intake. Raises BenchError if one is refused."""
    from outbox import intake, keys
    from outbox.payloads import parse_draft

    caller = keys.authenticate(f"Bearer {api_key}")
    read = [parse_draft(one, now=datetime.now(UTC), idempotency_key=None) for one in drafts]
    for answer in intake.accept(read, caller, request_id="bench", base_url="http://127.0.0.1"):
        if answer.status != 202:
            raise BenchError(answer.body.decode())
