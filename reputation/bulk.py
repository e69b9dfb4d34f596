"""An organisational domain as mailbox providers sum it up: its volume, the bulk line, and what then applies.

Google makes a bulk sender, for ever, of an organisational domain that has sent about 5,000 messages to personal Gmail
accounts within 24 hours, all subdomains and streams together; Workspace recipients do not count (sender guidelines,
captured 2026-03-21). Yahoo and Microsoft ask for the same without the "for ever". Guarantees: what is not built yet
is told as such, never as right. Days are UTC's, so 24 hours that lie across two are bounded by both together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Sum
from django.utils.safestring import SafeString

from reputation import pictures
from reputation.hours import day_of
from reputation.models import Allowance, OrganisationalDomain, Ramp, RecordCheck, Route, SendingDomain
from reputation.pictures import Column
from reputation.tiles import WHOLE_DAY, drawn
from reputation.viewing import chip

LINE: Final = 5_000
COUNTED: Final = "gmail"  # the family of personal accounts
NEAR: Final = 0.8  # of the line, from here on a person should know
SHOWN_DAYS: Final = 14
DAY: Final = timedelta(days=1)
UNBUILT: Final = "not built yet"

# The least of several decides.
ORDER: Final = ("wrong", "missing", UNBUILT, "unknown", "unchecked", "advice", "right")

# what is required -> what the purposes of the records begin with that show it
SHOWN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "SPF passes for the return-path": ("returns-spf",),
    "DKIM signs with a key that is published": ("dkim-",),
    "DMARC, at least p=none": ("dmarc",),
    "Address and name confirm each other (PTR)": ("ptr", "ehlo"),
}
NOT_SHOWN_BY: Final = ("dkim-revoked", "dmarc-parent", "dmarc-reports")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something bulk senders must do, and whether all sending domains below this one do it."""

    name: str
    verdict: str
    words: str

    @property
    def chip(self) -> SafeString:
        return chip(self.verdict)

    @property
    def mark(self) -> str:
        """Its verdict as a class of the stylesheet."""
        return self.verdict.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Volume:
    """Recipients at one provider: on the two days that any 24 hours up to now lie in, and on the fullest day."""

    provider: str
    today: int
    yesterday: int
    most: int
    most_on: date | None
    fullest: int = 0  # two days that follow each other

    @property
    def day(self) -> int:
        """The last 24 hours, at most."""
        return self.today + self.yesterday


@dataclass(frozen=True, slots=True)
class Bulk:
    """What the page of an organisational domain shows."""

    words: str
    verdict: str
    volumes: Sequence[Volume]
    picture: SafeString
    days: Sequence[Column]
    requirements: Sequence[Requirement]
    domains: Sequence[SendingDomain]


def of_organisation(organisation: OrganisationalDomain, at: datetime) -> Bulk:
    """Volume against the bulk line and the requirements, as they stand now."""
    domains = list(organisation.domains.select_related("stream", "route").order_by("name"))
    days = _days(organisation)
    today = day_of(at, WHOLE_DAY.zone)
    columns = [_column(days[COUNTED], today, ago) for ago in range(SHOWN_DAYS - 1, -1, -1)]
    volumes = [_volume(provider, days[provider], today) for provider in sorted({COUNTED, *days})]
    counted = next(volume for volume in volumes if volume.provider == COUNTED)
    verdict, words = _stands(counted)
    title = f"Recipients with personal Gmail accounts a day, all of {organisation}"
    picture = drawn(pictures.volume(columns, LINE, title, f"bulk from {LINE:,}"))
    return Bulk(words, verdict, volumes, picture, columns, requirements(domains), domains)


def requirements(domains: Sequence[SendingDomain]) -> list[Requirement]:
    """What bulk senders must do, each judged over all these domains by their records."""
    living = [domain for domain in domains if domain.state != SendingDomain.State.RETIRED]
    rows = RecordCheck.objects.filter(domain__in=living).select_related("domain")
    shown = [_by_records(name, prefixes, list(rows)) for name, prefixes in SHOWN_BY.items()]
    return [*shown, _aligned(shown[1]), _tls(living), *BY_CONSTRUCTION, *NOT_BUILT]


def last_day(organisations: Iterable[OrganisationalDomain], at: datetime) -> Mapping[str, int]:
    """Recipients with personal Gmail accounts within the last 24 hours, at most, by organisational domain."""
    yesterday = day_of(at, WHOLE_DAY.zone) - DAY
    mine = Allowance.objects.filter(
        day__gte=yesterday,
        ramp__kind=Ramp.Kind.ORGANISATION,
        ramp__key__in=[row.name for row in organisations],
        ramp__provider=COUNTED,
    )
    return dict(mine.values_list("ramp__key").annotate(all=Sum("used")))


BY_CONSTRUCTION: Final = (
    Requirement(
        "One-click unsubscribe (RFC 8058), honoured within 48 h",
        "right",
        "Every message of a stream that is not transactional carries it, and it is honoured at once.",
    ),
)
NOT_BUILT: Final = (
    Requirement(
        "Spam rate below 0.1 %, never 0.3 %",
        UNBUILT,
        "Google Postmaster Tools are not read yet: look there.",
    ),
)


def _days(organisation: OrganisationalDomain) -> Mapping[str, Mapping[date, int]]:
    """Recipients by provider and day, ever."""
    days: dict[str, dict[date, int]] = defaultdict(dict)
    rows = Allowance.objects.filter(ramp__kind=Ramp.Kind.ORGANISATION, ramp__key=organisation.name)
    for provider, day, used in rows.values_list("ramp__provider", "day", "used"):
        days[provider][day] = used
    return days


def _volume(provider: str, days: Mapping[date, int], today: date) -> Volume:
    most_on = max(days, key=lambda day: days[day], default=None)
    most = days[most_on] if most_on else 0
    fullest = max((used + days.get(day - DAY, 0) for day, used in days.items()), default=0)
    return Volume(provider, days.get(today, 0), days.get(today - DAY, 0), most, most_on, fullest)


def _column(days: Mapping[date, int], today: date, ago: int) -> Column:
    day = today - timedelta(days=ago)
    return Column(f"{day.day} {day:%b}", days.get(day, 0), now=not ago)


def _stands(counted: Volume) -> tuple[str, str]:
    if counted.most >= LINE:
        words = f"A bulk sender for ever: {counted.most:,} on {counted.most_on} passed the line of {LINE:,}."
        return "bulk", words
    if counted.fullest >= LINE:
        words = f"Up to {counted.fullest:,} within 24 hours may have passed the line of {LINE:,}, which is for ever."
        return "close", words
    verdict = "close" if counted.day >= NEAR * LINE else "below"
    return verdict, f"Up to {counted.day:,} within the last 24 hours; the bulk line is {LINE:,}."


def _by_records(name: str, prefixes: tuple[str, ...], rows: Sequence[RecordCheck]) -> Requirement:
    mine = [
        row for row in rows if row.purpose.startswith(prefixes) and not row.purpose.startswith(NOT_SHOWN_BY)
    ]
    verdict = min((row.verdict for row in mine), key=ORDER.index, default="unchecked")
    short = [f"{row.domain}: {row.verdict}" for row in mine if row.verdict not in {"right", "advice"}]
    return Requirement(name, verdict, "; ".join(short) or ("" if mine else "No domain has been checked."))


def _aligned(dkim: Requirement) -> Requirement:
    words = "By construction: d= is the From domain. It holds as far as DKIM does."
    return Requirement("From aligned with SPF or DKIM", dkim.verdict, words)


def _tls(domains: Sequence[SendingDomain]) -> Requirement:
    bare = [str(domain) for domain in domains if domain.route.security == Route.Security.NONE]
    verdict = "wrong" if bare else "right"
    words = f"Without TLS: {', '.join(bare)}." if bare else "Used wherever the other side offers it."
    return Requirement("TLS", verdict, words)
