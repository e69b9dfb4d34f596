"""Benchmarks of the whole product, each against a yardstick measured in the same run. `python -m bench`.

Everything is set up here and thrown away: a durable PostgreSQL cluster (`synchronous_commit=on`), a migrated
and seeded database, the simulator as the sink of all peers, real Celery workers and a real web server. One
JSON line per measure; see docs/PERF.md for what each one means.

    installation, processes, settings_of   what runs, and how it is told where everything is
    backlog, sink, http                    waiting mail, what arrived, a load of requests
    deliver, accept, idle, waiting, memory, ramps, dedupe, dedupe_index   the measures
    spamassassin, copies                   real mail, and what campaigns do to a text
    rivals/                                what a user would pick instead, on the same sink
    line, __main__                         a measure's line; which measures there are
"""
