"""A DNS edge for tests: two resolvers with a zone each, in the place of ``Lookups``; any answer may be a failure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from reputation import domains, publishing
from reputation.asking import Absent, Temporary
from reputation.models import SendingDomain
from reputation.records import Found, Outcome
from reputation.resolver import Exchangers, Problem

FIRST, SECOND = [("192.0.2.1", 53)], [("192.0.2.2", 53)]
Question = tuple[str, str]


@dataclass
class View:
    """What one resolver sees: values by name and type; the questions in `silent` get no answer."""

    zone: dict[Question, tuple[str, ...]] = field(default_factory=dict)
    silent: set[Question] = field(default_factory=set)
    asked: list[Question] = field(default_factory=list)
    upon: Callable[[], None] = lambda: None

    def publish(self, domain: SendingDomain) -> None:
        """Everything the domain has to publish and nothing else, with what only its owner can decide."""
        self.zone.clear()
        for name, kind, value in publishing.data(domains.to_publish(domain)):
            self.zone[name, kind] = (*self.zone.get((name, kind), ()), value)
        self.zone[domain.name, "MX"] = ("10 mx.acme.test.",)
        self.zone["mx.acme.test", "A"] = ("192.0.2.25",)
        self.zone[domain.organisation.name, "SOA"] = (
            "ns.acme.test. hostmaster.acme.test. 1 3600 600 86400 60",
        )
        self.zone[f"_dmarc.{domain.organisation.name}", "TXT"] = ("v=DMARC1; p=reject",)


@dataclass
class Dns:
    """Both views; `first` is the one that is asked, `second` the one that confirms."""

    first: View = field(default_factory=View)
    second: View = field(default_factory=View)

    def publish(self, domain: SendingDomain) -> None:
        self.first.publish(domain)
        self.second.publish(domain)

    def lookups(self, nameservers: Any, **_: Any) -> "FakeLookups":
        return FakeLookups(self.second if nameservers == SECOND else self.first)


class FakeLookups:
    def __init__(self, view: View) -> None:
        self._view = view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, name: str, rdtype: str) -> Found:
        question = (name, rdtype)
        self._view.asked.append(question)
        if question in self._view.silent:
            return Found((), Outcome.FAILED)
        values = self._view.zone.get(question, ())
        return Found(values, Outcome.ANSWERED if values else Outcome.ABSENT, 60.0 if values else None)

    def values(self, name: str, rdtype: str) -> tuple[str, ...]:
        found = self.ask(name, rdtype)
        if found.outcome is Outcome.ANSWERED:
            return found.values
        raise Temporary if found.outcome is Outcome.FAILED else Absent

    def arriving(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Found]]:
        for question in list(questions):
            self._view.upon()
            yield question, self.ask(*question)

    def exchangers(self, domain: str) -> Exchangers:
        return Exchangers(domain, (), Problem.NO_ADDRESS, "")
