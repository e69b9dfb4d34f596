"""One message at a time on an idle system: from the post to the sink's 250, and from the kick to the claim."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from bench.backlog import Backlog
from bench.http import Connection, Load, request_of
from bench.installation import Installation
from bench.line import Line, below, percentile
from bench.processes import BenchError, until
from bench.sink import Sink

N, WARM, PAUSE = 200, 10, 0.05

# Both by the database's clock. The kick follows the accept's commit, which follows this event.
KICKS = """
SELECT extract(epoch FROM c.at - a.at)::float8 * 1000 FROM outbox_event AS a
JOIN outbox_event AS c ON c.delivery_id = a.delivery_id AND c.kind = 'claimed' AND c.attempt = 1
WHERE a.kind = 'accepted' ORDER BY a.id DESC LIMIT %s
"""


def latency(installation: Installation, backlog: Backlog, sink: Sink) -> Iterator[Line]:
    """200 posts, each waited for, with a pause between them."""
    backlog.empty()
    with installation.web(), installation.workers():
        ends = [_posted_and_delivered(installation, sink, n) for n in range(WARM + N)][WARM:]
        with installation.connect() as connection:
            kicks = [float(str(row[0])) for row in connection.execute(KICKS, [N]).fetchall()]
    p50, p99 = percentile(ends, 0.5), percentile(ends, 0.99)
    yield below(Line("post_to_250_p50", p50, "ms", N), 15)
    yield below(Line("post_to_250_p99", p99, "ms", N, more={"max": max(ends)}), 60)
    kick = Line("accept_to_claim_p50", percentile(kicks, 0.5), "ms", N, more={"p99": percentile(kicks, 0.99)})
    yield below(kick, 20)
    backlog.empty()


def _posted_and_delivered(installation: Installation, sink: Sink, n: int) -> float:
    """Milliseconds from the first byte of the post to the sink's 250, by the sink's own clock."""
    load = Load(installation.web_port, "/v1/messages", installation.api_key)
    request = request_of(load, n)
    sink.mark()
    connection = Connection(installation.web_port)
    began = time.time()
    status, body = connection.post(request)
    if status != 202:
        raise BenchError(f"{status} {body[:300]!r}")
    until(lambda: sink.accepted() >= 1, 20, f"message {n} at the sink", 0.002)
    arrived = json.loads(sink.log.read_bytes().splitlines()[-1])["t_reply"]
    time.sleep(PAUSE)
    return 1000 * (float(arrived) - began)
