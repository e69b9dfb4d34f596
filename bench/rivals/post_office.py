"""django-post_office, unsigned, at its best: its own batches, processes and threads, on the same PostgreSQL.

Measured inside one `send_queued`, so without the start of Python; the mail is queued before.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.rivals.rival import Rate, cache, output_of
from bench.stand import Stand

PACKAGES = ("django>=5.2,<5.3", "django-post_office==3.12.0", "psycopg[binary]>=3.3,<4")
DATABASE = "post_office"
WAYS = ((1, 5), (2, 5), (2, 10))  # processes, threads each


@dataclass(frozen=True, slots=True)
class PostOffice:
    """Tries several numbers of processes and threads; the best counts."""

    name: str = "django-post_office, unsigned"

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        python = _installed()
        script = str(Path(__file__).with_name("post_office_run.py"))
        rates = {}
        with _database(stand) as url:
            for processes, threads in WAYS:
                told = {"BENCH_DATABASE_URL": url, "BENCH_SMTP_PORT": str(stand.sink.ports.smtp)}
                words = [str(python), script, str(n), str(processes), str(threads)]
                stand.sink.mark()
                seconds = float(output_of(words, told))
                # whatever it says, only what arrived counts
                rates[f"{processes}x{threads}"] = stand.sink.accepted() / seconds
        return Rate(max(rates.values()), more={"by_processes_x_threads": rates})


@contextlib.contextmanager
def _database(stand: Stand) -> Iterator[str]:
    with stand.installation.as_superuser() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield stand.installation.superuser_url.replace("/outbox?", f"/{DATABASE}?")
        finally:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _installed() -> Path:
    folder = cache("post_office")
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        output_of([sys.executable, "-m", "venv", str(folder)])
        output_of([str(python), "-m", "pip", "install", "--quiet", *PACKAGES])
        (folder / "installed").touch()
    return python
