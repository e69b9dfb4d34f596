"""`python -m bench [NAME ...]`: measure, one JSON line each on standard output, progress on standard error.

Without names all that takes minutes: deliver, accept, accept_p99, idle, waiting, hot, ramps, memory, dedupe_index,
deliver_50ms. What takes longer: `deep` goes to a million waiting and a million handled messages, half an hour or more;
`ramps_deep` is the million of `ramps` alone; `dedupe` judges prints on real mail (fetched by npm), `dedupe_deep` looks
up among ten million of them; `accept_held` posts behind 80,000 held messages. `all_deep` is all that takes longer.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import accept, dedupe, dedupe_index, deliver, held, idle, memory, ramps, waiting
from bench.backlog import Backlog
from bench.installation import cluster, environment, free_port, seeded
from bench.line import Line, note
from bench.processes import BenchError
from bench.sink import Ports, sink
from bench.stand import Stand

Measure = Callable[[Stand], Iterator[Line]]

MEASURES: dict[str, Measure] = {
    "deliver": deliver.local,
    "accept": accept.throughput,
    "accept_p99": accept.beside_delivery,
    "idle": idle.latency,
    "waiting": waiting.growing,
    "hot": waiting.hot_tables,
    "ramps": ramps.growing,
    "memory": memory.flat,
    "dedupe_index": dedupe_index.growing,
}
DEEP: dict[str, Measure] = {
    "deep": waiting.deep,
    "ramps_deep": ramps.deep,
    "dedupe": dedupe.measured,
    "dedupe_deep": dedupe_index.deep,
    "accept_held": held.flooded,
}
DISTANT: dict[str, Measure] = {"deliver_50ms": deliver.distant}
LATENCY_MS = 50.0


def main(names: Sequence[str]) -> int:
    """Returns 1 if a target was missed, 2 for an unknown name."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = [*DEEP] if list(names) == ["all_deep"] else list(names) or [*MEASURES, *DISTANT]
    if unknown := set(wanted) - {*MEASURES, *DISTANT, *DEEP}:
        sys.stderr.write(f"{__doc__}\nNot a measure: {', '.join(sorted(unknown))}\n")
        return 2
    missed = 0
    for line in _measured(wanted):
        print(line.as_json(), flush=True)
        missed += line.met is False
    return 1 if missed else 0


def _measured(wanted: Sequence[str]) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        note("setting up")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        made = stack.enter_context(cluster())
        ports = Ports()
        with sink(folder, ports) as first:
            ports, web_port = first.ports, free_port()
            installation = seeded(made, environment(made, ports, folder, web_port), folder, web_port)
            backlog = Backlog(installation)
            yield from _each(wanted, {**MEASURES, **DEEP}, Stand(installation, backlog, first))
        if set(wanted) & set(DISTANT):
            with sink(folder, ports, LATENCY_MS) as far:
                yield from _each(wanted, DISTANT, Stand(installation, backlog, far))


def _each(wanted: Sequence[str], measures: Mapping[str, Measure], stand: Stand) -> Iterator[Line]:
    for name in wanted:
        if name in measures:
            note(name)
            try:
                yield from measures[name](stand)
            except BenchError as error:  # the others are still worth having
                yield Line(name, None, "", 0, target="to be measured", met=False, more={"why": str(error)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
