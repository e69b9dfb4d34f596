"""One message at a time on an idle system: from the post to the sink's 250, and from the kick to the claim."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from bench.http import Connection, Load, request_of
from bench.line import Line, below, percentile
from bench.processes import BenchError, until
from bench.stand import Stand

N, WARM, PAUSE = 200, 10, 0.05

# Both by the database's clock. The kick follows the accept's commit, which follows this event.
KICKS = """
SELECT extract(epoch FROM c.at - a.at)::float8 * 1000 FROM outbox_event AS a
JOIN outbox_event AS c ON c.delivery_id = a.delivery_id AND c.kind = 'claimed' AND c.attempt = 1
WHERE a.kind = 'accepted' ORDER BY a.id DESC LIMIT %s
"""


def latency(stand: Stand) -> Iterator[Line]:
    """200 posts, each waited for, with a pause between them."""
    stand.backlog.empty()
    with stand.installation.web(), stand.installation.workers():
        connection = Connection(stand.installation.web_port)
        ends = [_posted_and_delivered(stand, connection, n) for n in range(WARM + N)][WARM:]
        with stand.installation.connect() as database:
            kicks = [float(str(row[0])) for row in database.execute(KICKS, [N]).fetchall()]
    p50, p99 = percentile(ends, 0.5), percentile(ends, 0.99)
    yield below(Line("post_to_250_p50", p50, "ms", N), 15)
    yield below(Line("post_to_250_p99", p99, "ms", N, more={"max": max(ends)}), 60)
    kick = Line("accept_to_claim_p50", percentile(kicks, 0.5), "ms", N, more={"p99": percentile(kicks, 0.99)})
    yield below(kick, 20)
    stand.backlog.empty()


def _posted_and_delivered(stand: Stand, connection: Connection, n: int) -> float:
    """Milliseconds from the first byte of the post to the sink's 250, by the sink's own clock."""
    load = Load(stand.installation.web_port, "/v1/messages", stand.installation.api_key)
    request = request_of(load, n)
    stand.sink.mark()
    began = time.time()
    status, body = connection.post(request)
    if status != 202:
        raise BenchError(f"{status} {body[:300]!r}")
    until(lambda: stand.sink.accepted() >= 1, 20, f"message {n} at the sink", 0.002)
    arrived = json.loads(stand.sink.log.read_bytes().splitlines()[-1])["t_reply"]
    time.sleep(PAUSE)
    return 1000 * (float(arrived) - began)
