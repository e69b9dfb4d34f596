"""The database is lost and restored from a backup, which calls open what has gone out since: none of it goes again."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from config.embedded import Urls
from config.wheel import binaries
from simulator import oracle
from tests.walks.harness.inside import Inside
from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.processes import Process
from tests.walks.harness.waiting import until

LATER = 40
HOUR = 3600


def test_what_a_backup_calls_open_is_not_sent_again(here: Installation) -> None:
    worker = here.worker()
    due = (datetime.now(UTC) + timedelta(seconds=HOUR)).isoformat()
    open_then = here.load(LATER, "later", scheduled_at=due)
    under_way = here.load(400)
    until(lambda: here.statuses()["delivered"] > 50, 30, "mail flows", here.statuses)
    backup = dumped(here)
    taken = datetime.now(UTC).isoformat()
    # mail goes on in the original, until it is lost
    here.shift_clock(HOUR + 60)
    here.until_status([*open_then, *under_way], "delivered", 60)
    since = here.post("later.new@corp.test")
    here.until_status(since, "delivered")
    worker.kill()
    gone_out = len(here.oracle())

    urls = restored(here, backup)
    there = {"DATABASE_URL": urls.app, "DATABASE_OWNER_URL": urls.owner}
    open_ones = count(urls, "held", "queued", "deferred", "sending")
    assert open_ones >= LATER
    try:
        said = command(here, there, "after_restore", "--backup-taken", taken, "--why", "its disk died")
        assert f"{open_ones:,} deliveries were open and are uncertain now" in said
        assert count(urls, "uncertain") == open_ones
        with psycopg.connect(urls.owner) as owner:
            owner.execute("UPDATE outbox_clockshift SET shift = %s * interval '1 second'", [HOUR + 60])
        here.worker(ready=False, **there)
        command(here, there, "resume", "all", "--why", "all was taken over")
        [fresh] = posted(here, there, "ok.fresh@corp.test")
        until(lambda: len(here.oracle()) > gone_out, 40, "new mail flows", here.tails)
        # whoever was sent the fresh one would have sent the others before it: they were due for longer
        assert [entry.message_id for entry in here.oracle()[gone_out:]] == [fresh.header_id]
        assert oracle.duplicates(here.oracle()) == {}
        assert count(urls, "uncertain") == open_ones
    finally:
        here.processes[-1].kill()
        for process in here.processes[1:]:
            process.kill()
        here.template.cluster.drop_database(f"{here.name}_restored")


def dumped(here: Installation) -> Path:
    backup = here.folder / "backup"
    words = [binaries() / "pg_dump", "--format=custom", "--file", backup, here.urls.superuser]
    subprocess.run(words, check=True, timeout=60)
    return backup


def restored(here: Installation, backup: Path) -> Urls:
    urls = here.template.cluster.create_database(f"{here.name}_restored")
    words = [binaries() / "pg_restore", "--exit-on-error", "--dbname", urls.superuser, backup]
    subprocess.run(words, check=True, timeout=60)
    return urls


def command(here: Installation, there: Mapping[str, str], *words: str) -> str:
    process = here._start(Process, "manage", ["manage.py", *words], there)
    assert process.wait(60) == 0, process.tail()
    return process.said()


def posted(here: Installation, there: Mapping[str, str], to: str) -> list[Accepted]:
    inside = Inside({**here.env, **there})
    try:
        draft = {"to": to, "subject": "Fresh", "text": "After the restore."}
        [body] = inside.accept([draft], here.template.seed.keys["ada"])
        return Accepted.of(body)
    finally:
        inside.close()


def count(urls: Urls, *statuses: str) -> int:
    with psycopg.connect(urls.owner) as owner:
        asked = "SELECT count(*) FROM outbox_delivery WHERE status = ANY (%s)"
        [(number,)] = owner.execute(asked, [list(statuses)]).fetchall()
    return number
