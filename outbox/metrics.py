"""What machines that watch want to know, as Prometheus text: is anything stuck, stopped or in doubt.

Read when asked, from indexes that the walk has anyway; a reading costs a few index scans and no more than a second, or
is left out and ``ao_metrics_failed`` says so. No login, so no names of agents, people or recipients.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final, LiteralString

from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from outbox import proof, pulse
from outbox.gauges import GAUGES
from reputation import sql

logger = logging.getLogger(__name__)

PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '1s'"

# Each status by the partial index that holds it.
OPEN: Final[LiteralString] = """
SELECT 'waiting' AS status, count(*) AS n FROM outbox_delivery WHERE status IN ('queued', 'deferred')
UNION ALL SELECT 'sending', count(*) FROM outbox_delivery WHERE status = 'sending'
UNION ALL SELECT 'uncertain', count(*) FROM outbox_delivery WHERE status = 'uncertain'
UNION ALL SELECT 'held', (SELECT count(*) FROM outbox_delivery WHERE status IN ('held', 'queued', 'deferred'))
    - (SELECT count(*) FROM outbox_delivery WHERE status IN ('queued', 'deferred'))
"""

SWITCH: Final[LiteralString] = """
SELECT (SELECT count(*) FROM reputation_openstop) AS stops,
       (SELECT coalesce(max(epoch), 0) FROM reputation_switchevent) AS epoch,
       (SELECT count(*) FROM outbox_session WHERE ended_at IS NULL AND lease_until > clock_timestamp()) AS workers,
       (SELECT count(*) FROM outbox_session WHERE ended_at IS NULL AND lease_until > clock_timestamp()
        AND epoch_seen < (SELECT coalesce(max(epoch), 0) FROM reputation_switchevent)) AS behind
"""

ALLOWANCES: Final[LiteralString] = """
SELECT r.key AS domain, r.provider, a.cap, a.taken, a.used FROM reputation_ramp AS r
JOIN reputation_purse AS p ON p.id = r.purse_id JOIN reputation_allowance AS a ON a.id = p.of_domain_id
WHERE r.kind = 'domain' AND r.purse_until > ao_now()
"""


def metrics(_request: HttpRequest) -> HttpResponse:
    """Everything that could be read now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Readings(Collector):
    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily(
            "ao_metrics_failed", "Readings that could not be taken now.", labels=["reading"]
        )
        for name, reading in READINGS.items():
            try:
                with transaction.atomic():
                    sql.count(PATIENCE)
                    taken = list(reading())
                yield from taken
                failed.add_metric([name], 0)
            except Error as error:
                logger.warning("the metric %s was not read: %s", name, error)
                failed.add_metric([name], 1)
        yield failed


def _open() -> Iterator[Metric]:
    deliveries = GaugeMetricFamily("ao_deliveries_open", "Deliveries that are not final.", labels=["status"])
    for row in sql.rows(OPEN):
        deliveries.add_metric([row.status], row.n)
    yield deliveries


def _late() -> Iterator[Metric]:
    late = GaugeMetricFamily(
        "ao_oldest_due_seconds", "How late the first due delivery is, of those that may go.", labels=["tier"]
    )
    for tier, seconds in pulse.lateness().items():
        late.add_metric([tier], seconds)
    yield late


def _switch() -> Iterator[Metric]:
    row = sql.one(SWITCH)
    yield GaugeMetricFamily("ao_stops_open", "Scopes that are closed now.", row.stops)
    yield GaugeMetricFamily("ao_switch_epoch", "The number of the last trip or resume.", row.epoch)
    yield GaugeMetricFamily("ao_workers", "Worker sessions whose lease holds.", row.workers)
    yield GaugeMetricFamily(
        "ao_workers_behind", "Of these, those that have not seen the last epoch.", row.behind
    )


def _after_stop() -> Iterator[Metric]:
    cleared = sum(stop.cleared_after for stop in proof.stops())
    yield GaugeMetricFamily(
        "ao_cleared_after_stop", "Clearances in closed scopes; anything but 0 is a defect.", cleared
    )


def _allowances() -> Iterator[Metric]:
    names = {"cap": "allows", "taken": "has reserved or used", "used": "has used"}
    families = {
        name: GaugeMetricFamily(
            f"ao_allowance_{name}",
            f"What a sending domain's ramp {words} today.",
            labels=["domain", "provider"],
        )
        for name, words in names.items()
    }
    for row in sql.rows(ALLOWANCES):
        for name, family in families.items():
            if (value := getattr(row, name)) is not None:
                family.add_metric([row.domain, row.provider], value)
    yield from families.values()


READINGS: Final[Mapping[str, Callable[[], Iterator[Metric]]]] = {
    "open": _open,
    "late": _late,
    "switch": _switch,
    "after_stop": _after_stop,
    "allowances": _allowances,
    **{gauge.name.removeprefix("ao_"): gauge.read for gauge in GAUGES},
}
