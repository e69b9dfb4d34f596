"""The Celery app and the only clock: every periodic thing is in this list.

Celery is the alarm clock, not the queue: a task carries no work, only a hint that there may be some. So a
task is acknowledged early, never retried, and forgotten when it is late.
"""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init, worker_process_init, worker_process_shutdown
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery's run of the checks loads every page, and forgets what they say: ours follows, see ``refuse``.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

GARBAGE_AFTER = 50_000  # objects: conversations come and go by the thousand, and leave no cycles

app = Celery("outbox")
app.set_default()  # also for threads that did not make it: the alarm kicks from one


def _transport_options(url: str) -> dict[str, Any]:
    if not url.startswith("pgmq://"):
        # A kick that nobody takes within a minute is worth nothing: beat kicks again.
        return {"visibility_timeout": 60, "socket_connect_timeout": 1, "socket_timeout": 5, "max_retries": 1}
    database = settings.DATABASES["default"]
    fields = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    conninfo = " ".join(f"{key}='{database[name]}'" for key, name in fields.items() if database[name])
    return {
        "conn_string": conninfo,
        "init_extension": False,
        "visibility_timeout": 60,
        # polled, not notified: a producer's side would listen too and never read, until its backend blocks
        "wait_time_seconds": 1,
        # a late hint costs nothing, workers hear of new work by NOTIFY; each look costs PostgreSQL 0.25 ms of CPU
        "poll_interval_ms": 50,
        "polling_interval": 0.01,
        "pool_size": 3,
        "pool_timeout": 2,
    }


app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_transport_options=_transport_options(settings.CELERY_BROKER_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_default_queue="outbox",
    # one more try, on a new connection: a producer whose broker was restarted stays dead otherwise, beat's too
    task_publish_retry=True,
    task_publish_retry_policy={
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    },
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    beat_schedule={
        "deliver what is due": {"task": "outbox.dispatch", "schedule": 1.0, "options": {"expires": 5}},
        "take back what dead workers held": {
            "task": "outbox.rescue",
            "schedule": 2.0,
            "options": {"expires": 5},
        },
        "end what waited too long": {"task": "outbox.expire", "schedule": 5.0, "options": {"expires": 10}},
        "go on with reopenings and purges": {
            "task": "outbox.reopen",
            "schedule": 2.0,
            "options": {"expires": 5},
        },
        "carry out decisions about held mail": {
            "task": "outbox.decide",
            "schedule": 2.0,
            "options": {"expires": 5},
        },
        "wake lanes that were overlooked": {
            "task": "outbox.rouse",
            "schedule": 30.0,
            "options": {"expires": 30},
        },
        "judge what nobody has judged": {"task": "outbox.judge", "schedule": 5.0, "options": {"expires": 5}},
        "count what waits behind ramps": {"task": "outbox.tally", "schedule": 5.0, "options": {"expires": 5}},
        "verify sending domains": {
            "task": "outbox.verify_due",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "rotate signing keys": {"task": "outbox.tend_keys", "schedule": 600.0, "options": {"expires": 600}},
        "verify the audit's chain": {
            "task": "outbox.look_at_audit",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
        "write to reviewers": {"task": "outbox.summon", "schedule": 60.0, "options": {"expires": 60}},
        "forget and make partitions": {
            "task": "outbox.keep_house",
            "schedule": 3600.0,
            "options": {"expires": 600},
        },
    },
    beat_schedule_filename=os.environ.get("AO_BEAT_SCHEDULE", "var/celerybeat-schedule"),
)
# Beat orders two rounds a second: a new connection for each cost as much as all else that an idle worker does.
app.conf["CELERY_DB_REUSE_MAX"] = 1000
app.autodiscover_tasks(["outbox"])


@worker_init.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def refuse(**_: Any) -> None:
    """Not with settings under which something might be sent that nobody meant to send.

    Raises:
        SystemExit: one of the checks is an error; of what handlers raise Celery lets nothing else through.
    """
    from outbox.checks import refuse_to_start

    try:
        refuse_to_start()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin(**_: Any) -> None:
    """A child works from its birth: it needs no kick, and no broker."""
    from outbox import vigil, worker

    # What is there at birth stays: a full collection that looks at all of it stops every conversation for 0.1 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    worker.dispatcher()
    vigil.keep()


@beat_init.connect  # type: ignore[untyped-decorator]
def watch(**_: Any) -> None:
    """Beat watches too: it sees when there is no worker left to see it."""
    from outbox import vigil

    vigil.keep()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def drain(**_: Any) -> None:
    """A child that is told to end lets its conversations end first."""
    from outbox import worker

    worker.drain()
