"""One record as it is against the record as it should be: the verdict, and in words what is wrong and what to do.

A name nobody answered for is `unknown`, never `missing`: an outage of the DNS is no evidence against a domain. What
works is never called wrong for being written another way: order, case, spaces and further values are the admin's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from reputation.alignment import Dmarc, Mode, parse_dmarc
from reputation.record_values import Evidence, Finding, Found, Kind, Outcome, Verdict, Wanted
from reputation.spf_terms import BadRecord, parse, records_among

Remark = tuple[Verdict, str]
Judge = Callable[[Wanted, Found, Evidence], Iterator[Remark]]

_WORST_FIRST: Final = (Verdict.WRONG, Verdict.MISSING, Verdict.UNKNOWN, Verdict.ADVICE)
_POLICIES: Final = ("none", "quarantine", "reject")
_AROUND: Final = 12  # characters of a key shown on either side
_NOTHING: Final = Evidence()


def compare(wanted: Wanted, found: Found, evidence: Evidence = _NOTHING) -> Finding:
    """The verdict on one record."""
    remarks = list(_remarks(wanted, found, evidence))
    verdicts = {verdict for verdict, _ in remarks}
    worst = next((verdict for verdict in _WORST_FIRST if verdict in verdicts), Verdict.RIGHT)
    words = " ".join(words for _, words in sorted(remarks, key=lambda remark: _WORST_FIRST.index(remark[0])))
    return Finding(wanted.purpose, worst, words, "\n".join(found.values))


def _remarks(wanted: Wanted, found: Found, evidence: Evidence) -> Iterator[Remark]:
    if found.outcome is Outcome.FAILED:
        yield Verdict.UNKNOWN, f"Nobody answered for {wanted.name}. It will be asked again."
    elif found.outcome is Outcome.ANSWERED:
        yield from _JUDGES[wanted.kind](wanted, found, evidence)
    else:
        yield from _absent(wanted)


def _absent(wanted: Wanted) -> Iterator[Remark]:
    if wanted.kind is Kind.DKIM_REVOKED:
        return
    if wanted.kind is Kind.SOA:
        yield Verdict.MISSING, f"No zone answers for {wanted.name}. Is the domain registered and delegated?"
    elif wanted.kind is Kind.DMARC_PARENT:
        yield Verdict.ADVICE, f"There is no DMARC record at {wanted.name}. Publish this one."
    elif wanted.kind is Kind.MX and not wanted.values:
        yield Verdict.MISSING, f"{wanted.name} has no MX. Point it to whatever host takes people's replies."
    else:
        yield Verdict.MISSING, f"There is no {wanted.type} record at {wanted.name}. Publish this one."


def _judge_spf(wanted: Wanted, found: Found, evidence: Evidence) -> Iterator[Remark]:
    records = records_among(found.values)
    if len(records) == 1:
        yield from _judge_one_spf(wanted, records[0], evidence)
    elif records:
        words = f"There are {len(records)} SPF records at {wanted.name}, and receivers then accept none. Merge them."
        yield Verdict.WRONG, words
    else:
        yield (
            Verdict.MISSING,
            f"{wanted.name} has TXT records, but none that begins with v=spf1. Publish this one.",
        )


def _judge_one_spf(wanted: Wanted, record: str, evidence: Evidence) -> Iterator[Remark]:
    try:
        ending = parse(record).ending
    except BadRecord as why:
        yield Verdict.WRONG, f"The record is broken, and receivers then accept nothing: {why}."
        return
    if evidence.spf is not None:
        ending = evidence.spf.ending
        yield from ((Verdict.WRONG, f"{_capital(problem)}.") for problem in evidence.spf.problems)
        yield from ((Verdict.UNKNOWN, f"Nobody answered for {name}.") for name in evidence.spf.unanswered)
        yield from ((Verdict.ADVICE, f"{_capital(advice)}.") for advice in evidence.spf.advice)
    yield from _not_authorised(wanted, record, evidence)
    yield from _ENDINGS.get(ending, ())


_ENDINGS: Final[Mapping[str, tuple[Remark, ...]]] = {
    "": ((Verdict.ADVICE, "The record does not end in -all or ~all, so it forbids nobody. Add -all."),),
    "?all": ((Verdict.ADVICE, "The record ends in ?all, so it forbids nobody. Make it -all."),),
    "+all": ((Verdict.WRONG, "The record ends in +all: everybody on earth may send. Make it -all."),),
}


def _not_authorised(wanted: Wanted, record: str, evidence: Evidence) -> Iterator[Remark]:
    """By what receivers would conclude of each address; a relay's name must stand somewhere in the tree."""
    reached = {name.lower() for name in evidence.spf.names} if evidence.spf else set()
    for name in _included(wanted.values):
        if name not in reached and name not in _included((record,)):
            words = f"The relay is not authorised. Put include:{name} before the end of the record."
            yield Verdict.WRONG, words
    for address, checked in evidence.checked.items():
        if checked.result == "temperror":
            yield Verdict.UNKNOWN, f"Whether {address} may send cannot be told: {checked.problem}."
        elif checked.result != "pass":
            words = f"{address}, from which we send, is not authorised ({checked.result})."
            yield Verdict.WRONG, f"{words} Put {_ip_term(address)} before the end of the record."


def _included(records: Sequence[str]) -> list[str]:
    terms = (term.lower().removeprefix("+") for record in records for term in record.split())
    return [term.removeprefix("include:") for term in terms if term.startswith("include:")]


def _ip_term(address: str) -> str:
    return f"ip6:{address}" if ":" in address else f"ip4:{address}"


def _judge_mx(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    hosts = _hosts(found.values)
    ours = wanted.values[0].split()[1].rstrip(".") if wanted.values else ""
    if "" in hosts:
        yield (
            Verdict.WRONG,
            f"{wanted.name} says that it takes no mail (null MX, RFC 7505). Take that record out.",
        )
    elif wanted.kind is Kind.RETURNS_MX:
        yield from _judge_returns(hosts, ours, wanted)
    elif ours and ours not in hosts:
        words = f"People's replies go to {', '.join(hosts)} and not to {ours}. If that is meant, all is well."
        yield Verdict.ADVICE, words


def _judge_returns(hosts: Sequence[str], ours: str, wanted: Wanted) -> Iterator[Remark]:
    others = ", ".join(host for host in hosts if host != ours)
    if ours not in hosts:
        words = f"Bounces to {wanted.name} go to {others}, where we do not see them. Replace it by {ours}."
        yield Verdict.WRONG, words
    elif hosts[0] != ours:
        words = f"Bounces to {wanted.name} go first to {hosts[0]}, where we do not see them. Take it out."
        yield Verdict.WRONG, words
    elif others:
        words = f"Bounces that reach {others} instead of {ours} are lost to us. Take it out."
        yield Verdict.ADVICE, words


def _hosts(values: Sequence[str]) -> list[str]:
    """MX hosts, the most preferred first; the null MX is an empty name."""
    pairs = sorted((int(rank), host.lower().rstrip(".")) for rank, host in map(str.split, values))
    return [host for _, host in pairs]


def _judge_dkim(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    if len(found.values) > 1:
        words = (
            f"There are {len(found.values)} TXT records at {wanted.name}, and receivers may take any of them."
        )
        yield Verdict.WRONG, f"{words} Leave this one alone."
        return
    shown, meant = _tags(found.values[0]), _tags(wanted.values[0])
    yield from _judge_key(shown.get("p"), meant["p"])
    yield from ((Verdict.WRONG, words) for words in _tag_problems(shown, meant))
    if found.ttl is not None and found.ttl > wanted.ttl:
        words = f"Its TTL is {found.ttl:.0f} s: after a leak the key would live on in caches for as long."
        yield Verdict.ADVICE, f"{words} Make it {wanted.ttl}."


def _judge_key(shown: str | None, meant: str) -> Iterator[Remark]:
    if shown is None:
        yield Verdict.WRONG, "The record has no p= and so holds no key. Publish this one as it stands."
    elif not shown:
        yield (
            Verdict.WRONG,
            "p= is empty: to receivers this key is revoked. Publish this one, or activate another.",
        )
    elif meant.startswith(shown) and shown != meant:
        words = f"The key is cut off after {len(shown)} of {len(meant)} characters."
        yield Verdict.WRONG, f"{words} Long values go into several strings of one record: copy all of them."
    elif shown != meant:
        at = next(
            (at for at, (a, b) in enumerate(zip(shown, meant, strict=False)) if a != b),
            min(len(shown), len(meant)),
        )
        words = f"Another key is published: from character {at + 1} it is “{_excerpt(shown, at)}”"
        yield Verdict.WRONG, f"{words} and should be “{_excerpt(meant, at)}”. Copy this one again."


def _tag_problems(shown: Mapping[str, str], meant: Mapping[str, str]) -> Iterator[str]:
    """RFC 6376 §3.6.1: what makes receivers pass the key over."""
    if shown.get("v", "DKIM1") != "DKIM1":
        yield f"v={shown['v']} should be v=DKIM1."
    kind = meant.get("k", "rsa")
    if shown.get("k", "rsa") != kind:
        yield f"k={shown.get('k', 'rsa')} should be k={kind}: as it stands, no signature verifies."
    if "sha256" not in shown.get("h", "sha256").split(":"):
        yield f"h={shown['h']} leaves out sha256, with which we sign. Take h= out."
    if {"*", "email"}.isdisjoint(shown.get("s", "*").split(":")):
        yield f"s={shown['s']} leaves out mail. Take s= out."
    if "y" in shown.get("t", "").split(":"):
        yield "t=y says that the domain is testing, and receivers then treat its mail as unsigned. Take t=y out."


def _judge_revoked(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    if any(_tags(value).get("p") for value in found.values):
        yield (
            Verdict.WRONG,
            f"The revoked key is still published at {wanted.name}. Take the record out, or empty p=.",
        )


def _judge_dmarc(wanted: Wanted, found: Found, evidence: Evidence) -> Iterator[Remark]:
    records = [record for record in map(parse_dmarc, found.values) if record is not None]
    if len(records) > 1:
        yield (
            Verdict.WRONG,
            f"There are {len(records)} DMARC records at {wanted.name}, which counts as none. Keep one.",
        )
    elif not records:
        words = f"{wanted.name} has TXT records, but none that begins with v=DMARC1. Publish this one."
        yield Verdict.MISSING, words
    elif wanted.kind is Kind.DMARC:
        yield from _judge_policy(records[0], parse_dmarc(wanted.values[0]))
        yield from _judge_alignment(records[0], evidence)
    else:
        yield from _judge_parent(records[0])


def _judge_policy(shown: Dmarc, meant: Dmarc | None) -> Iterator[Remark]:
    usable = shown.tags.get("p", "").lower() in _POLICIES
    verdict = Verdict.ADVICE if usable else Verdict.WRONG
    yield from ((verdict, f"{_capital(error)}.") for error in shown.errors)
    if not shown.rua:
        yield Verdict.ADVICE, "Without rua= nobody reports to you what becomes of your name. Add it."
    elif meant is not None and meant.rua and not set(meant.rua) & set(shown.rua):
        yield Verdict.ADVICE, f"Reports go to {', '.join(shown.rua)} and not to {meant.rua[0]}."
    if meant is not None and _POLICIES.index(shown.policy) < _POLICIES.index(meant.policy):
        words = f"p={shown.policy} is weaker than what the parent says of its subdomains (p={meant.policy})."
        yield Verdict.ADVICE, words


def _judge_alignment(shown: Dmarc, evidence: Evidence) -> Iterator[Remark]:
    if shown.aspf is Mode.STRICT:
        words = "aspf=s: the return-path is below rp., so SPF never counts and DMARC rests on DKIM alone."
        yield Verdict.ADVICE, f"{words} Take aspf=s out."
    organisation, pair = evidence.organisation, evidence.from_and_returns
    if organisation is not None and organisation.differ:
        words = (
            f"Receivers that follow the public suffix list take {organisation.by_list} for the organisation, those "
            f"that walk the tree (RFC 9989) {organisation.by_walk}."
        )
        yield Verdict.ADVICE, f"{words} A DMARC record with psd=n at {organisation.by_list} makes them agree."
    if pair is not None and False in {pair.by_list, pair.by_walk}:
        some = "Some" if pair.differ else "All"
        words = (
            f"{some} receivers do not take the return-path for aligned with From: there DKIM alone counts."
        )
        yield Verdict.ADVICE, words


def _judge_parent(shown: Dmarc) -> Iterator[Remark]:
    given = {"psd": shown.psd, "adkim": str(shown.adkim), "aspf": str(shown.aspf)}
    lacking = [f"{name}={value}" for name, value in _PARENT.items() if given[name] != value]
    if lacking:
        yield Verdict.ADVICE, f"The record of the organisation could have {', '.join(lacking)}."


_PARENT: Final = {"psd": "n", "adkim": "s", "aspf": "s"}


def _judge_permission(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    if not any(re.match(r"v\s*=\s*DMARC1\b", value) for value in found.values):
        yield Verdict.MISSING, f"{wanted.name} has TXT records, but none that begins with v=DMARC1."


def _judge_address(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    """Any address will do for an alias, and where we know none; else ours must be among them, in any order."""
    if wanted.type == "CNAME" or not wanted.values:
        return
    lacking = [value for value in wanted.values if value.lower() not in _lowered(found.values)]
    if lacking:
        yield (
            Verdict.WRONG,
            f"{wanted.name} leads to {', '.join(found.values)} and not to {', '.join(lacking)}.",
        )


def _judge_ptr(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
    meant = wanted.values[0].rstrip(".")
    names = ", ".join(name.rstrip(".") for name in found.values)
    if meant.lower() not in {name.rstrip(".") for name in _lowered(found.values)}:
        words = f"The address leads to {names} and not to {meant}, which we say in EHLO."
        yield (
            Verdict.WRONG,
            f"{words} Have whoever gave you the address change it, or change the route's EHLO name.",
        )
    elif len(found.values) > 1:
        yield Verdict.ADVICE, f"The address has several names ({names}); some receivers take only one."


def _judge_version(version: str) -> Judge:
    """A TXT record of which there is one, known by how it begins; the rest must hold the same tags."""

    def judge(wanted: Wanted, found: Found, _evidence: Evidence) -> Iterator[Remark]:
        records = [value for value in found.values if _tags(value).get("v") == version]
        if not records:
            yield Verdict.MISSING, f"{wanted.name} has TXT records, but none that begins with v={version}."
        elif len(records) > 1:
            yield (
                Verdict.WRONG,
                f"There are {len(records)} such records at {wanted.name}, which counts as none.",
            )
        else:
            shown = _tags(records[0])
            for name, value in _tags(wanted.values[0]).items():
                if shown.get(name) != value:
                    yield Verdict.ADVICE, f"{name}={shown.get(name, '')} is not {name}={value}."

    return judge


def _judge_nothing(_wanted: Wanted, _found: Found, _evidence: Evidence) -> Iterator[Remark]:
    yield from ()


_JUDGES: Final[Mapping[Kind, Judge]] = {
    Kind.SPF: _judge_spf,
    Kind.RETURNS_SPF: _judge_spf,
    Kind.MX: _judge_mx,
    Kind.RETURNS_MX: _judge_mx,
    Kind.DKIM: _judge_dkim,
    Kind.DKIM_REVOKED: _judge_revoked,
    Kind.DMARC: _judge_dmarc,
    Kind.DMARC_PARENT: _judge_dmarc,
    Kind.DMARC_REPORTS: _judge_permission,
    Kind.SOA: _judge_nothing,  # that anything answers is all that is wanted
    Kind.EHLO: _judge_address,
    Kind.PTR: _judge_ptr,
    Kind.UNSUBSCRIBE: _judge_address,
    Kind.TLSRPT: _judge_version("TLSRPTv1"),
    Kind.MTA_STS: _judge_version("STSv1"),
}


def _tags(text: str) -> dict[str, str]:
    """A tag list (RFC 6376 §3.2), white space dropped, as base64 may be folded anywhere; the first of two counts."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), "".join(value.split()))
    return tags


def _excerpt(key: str, at: int) -> str:
    start = max(0, at - _AROUND)
    return f"{'…' if start else ''}{key[start : at + _AROUND]}…"


def _lowered(values: Sequence[str]) -> set[str]:
    return {value.lower() for value in values}


def _capital(words: str) -> str:
    """As a sentence begins, but a tag stays as it is written: `p= is missing`."""
    return words if "=" in words.partition(" ")[0] else words[:1].upper() + words[1:]
