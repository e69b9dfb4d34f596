"""A sending domain twenty days into its ramps: plausible records, keys, days, a bad week and a closed valve."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from reputation import keyring, ramps
from reputation.models import Allowance, Ramp, RampEvent, RecordCheck, SendingDomain, SigningKey

CAREFUL = ramps.steps("careful", [], 100_000, ramps.share("gmail"), 24).caps
# What each day earned: up, held by evidence, or a step back; the bad week is the third.
PATH = "++++++++=-=-=++++++++"
REPLY = (
    "421-4.7.28 Gmail has detected an unusual rate of mail originating from your DKIM domain [agents.acme.test 36]. "
    "To protect our users from spam, mail has been temporarily rate limited."
)
LONG = '"v=DKIM1; k=rsa; p=' + "MIIBIjANBgkqhkiG9w0BAQEFAAOC" * 8 + '"\n"' + "AQ8AMIIBCgKCAQEA" * 9 + '"'


@dataclass(frozen=True)
class Provider:
    name: str
    start: int  # days ago
    valve: str = "open"


PROVIDERS = [
    Provider("gmail", 20, "slow"),
    Provider("microsoft-consumer", 12),
    Provider("yahoo", 4, "closed"),
]


def warm(domain: SendingDomain, at: datetime | None = None) -> list[Ramp]:
    """Give a domain ramps towards three providers, with the days and events they have behind them."""
    at = at or datetime.now(UTC)
    SendingDomain.objects.filter(pk=domain.pk).update(preset="careful", checked_at=at - timedelta(hours=3))
    return [_ramp("domain", domain.name, provider, at) for provider in PROVIDERS]


def organisation_volume(name: str, at: datetime | None = None) -> Ramp:
    """What an organisational domain had towards personal Gmail accounts in a fortnight; near the bulk line."""
    at = at or datetime.now(UTC)
    ramp = Ramp.objects.create(kind="organisation", key=name, provider="gmail")
    for ago in range(14, -1, -1):
        used = [900, 1400, 300, 250, 2100, 2600, 3100, 3900, 800, 700, 4100, 4600, 4800, 5300, 2100][14 - ago]
        _day(ramp, at.date() - timedelta(days=ago), None, used, 0)
    return ramp


def _ramp(kind: str, key: str, provider: Provider, at: datetime) -> Ramp:
    until = at + timedelta(minutes=25) if provider.valve != "open" else None
    why = REPLY if provider.valve == "slow" else "553 5.7.1 [BL21] Connections not accepted from 192.0.2.7"
    ramp = Ramp.objects.create(kind=kind, key=key, provider=provider.name, valve=provider.valve, valve_until=until,
                               valve_why=why if until else "")  # fmt: skip
    step, stepped_at = 0, at
    for number, ago in enumerate(range(provider.start, -1, -1)):
        day = at.date() - timedelta(days=ago)
        bad = PATH[number] in "=-"
        cap = CAREFUL[min(step, len(CAREFUL) - 1)]
        if ago % 7 in (1, 2):
            continue  # two days of seven are off
        _day(
            ramp,
            day,
            cap,
            int(cap * (0.93 if ago else 0.4)),
            max(cap // 25, 0) if not ago else 0,
            bad=bad,
            step=step,
        )
        if not ago:
            break
        kind_of = {"+": "advanced", "=": "held", "-": "stepped_down"}[PATH[number]]
        step = max(step + {"+": 1, "=": 0, "-": -1}[PATH[number]], 0)
        RampEvent.objects.create(ramp=ramp, at=datetime.combine(day, time(23, 58), UTC), kind=kind_of, step=step,
                                 cap=CAREFUL[min(step, 13)], why=_why(kind_of, cap),
                                 evidence={"cap": cap, "rates": [{"words": _why(kind_of, cap)}]})  # fmt: skip
        stepped_at = datetime.combine(day, time(23, 58), UTC)
    Ramp.objects.filter(pk=ramp.pk).update(step=step, stepped_at=stepped_at)
    ramp.refresh_from_db()
    return ramp


def _why(kind: str, cap: int) -> str:
    return {
        "advanced": f"{int(cap * 0.93)} of {cap} used, all lines kept",
        "held": "bounces: 12 of 260 is 4.6 %, at least 2.9 % with 95 % confidence; the line is 2 %",
        "stepped_down": "bounces: 31 of 430 is 7.2 %, at least 5.4 % with 95 % confidence; twice the line is 4 %",
    }[kind]


def _day(
    ramp: Ramp, day: date, cap: int | None, used: int, reserved: int, *, bad: bool = False, step: int = 0
) -> None:
    begin = datetime.combine(day, time(0), UTC)
    bounced = used // (18 if bad else 120)
    Allowance.objects.create(
        ramp=ramp, day=day, opens_at=begin, closes_at=begin + timedelta(days=1), step=step, cap=cap,
        taken=used + reserved, used=used, accepted=used - bounced, bounced=bounced, slowed=used // (12 if bad else 90),
    )  # fmt: skip


def keys(domain: SendingDomain, at: datetime | None = None) -> list[SigningKey]:
    """An old key that signs, and one that waits for its record."""
    at = at or datetime.now(UTC)
    made = [keyring.make(domain, "rsa-sha256"), keyring.make(domain, "rsa-sha256")]
    SigningKey.objects.filter(domain=domain, state="active").update(
        state="retiring", activated_at=at - timedelta(days=395)
    )
    SigningKey.objects.filter(pk=made[0].pk).update(
        state="active", created_at=at - timedelta(days=171), activated_at=at - timedelta(days=168)
    )
    return made


def records(domain: SendingDomain, at: datetime | None = None) -> None:
    """Eleven records: most right, one missing, one wrong, one that nobody answered for, one piece of advice."""
    at = at or datetime.now(UTC)
    name = domain.name
    rows: list[tuple[Any, ...]] = [
        ("spf", name, "TXT", '"v=spf1 ip4:192.0.2.7 -all"', "right", ""),
        ("mx", name, "MX", "10 inbox.acme.test.", "right", ""),
        ("returns-spf", f"rp.{name}", "TXT", '"v=spf1 ip4:192.0.2.7 -all"', "wrong",
         "There are two SPF records: receivers take that as none (RFC 7208, 4.5). Publish only this one."),
        ("returns-mx", f"rp.{name}", "MX", "10 mta.acme.test.", "right", ""),
        ("dkim-s2026a", f"s2026a._domainkey.{name}", "TXT", LONG, "missing",
         "No such record. Publish it with a TTL of 300 s or less, so that a leaked key is gone within minutes."),
        ("dmarc", f"_dmarc.{name}", "TXT", '"v=DMARC1; p=reject; rua=mailto:dmarc@acme.test"', "right", ""),
        ("soa", name, "SOA", "", "right", ""),
        ("ehlo-1", "mta.acme.test", "A", "192.0.2.7", "right", ""),
        ("ptr-1", "7.2.0.192.in-addr.arpa", "PTR", "mta.acme.test.", "unknown",
         "Nobody answered: 2.0.192.in-addr.arpa timed out. That is no evidence against the record."),
        ("unsubscribe", f"u.{name}", "CNAME", "outbox.acme.test.", "right", ""),
        ("tlsrpt", f"_smtp._tls.rp.{name}", "TXT", '"v=TLSRPTv1; rua=mailto:tlsrpt@acme.test"', "advice",
         "Works, but reports go to a mailbox of another organisation."),
    ]  # fmt: skip
    for position, (purpose, host, kind, expected, verdict, words) in enumerate(rows):
        found = '"v=spf1 include:old.example ~all"\n' + expected if verdict == "wrong" else ""
        RecordCheck.objects.create(domain=domain, purpose=purpose, position=position, name=host, type=kind,
                                   expected=expected, needed=verdict != "advice", found=found, verdict=verdict,
                                   words=words, checked_at=at)  # fmt: skip
