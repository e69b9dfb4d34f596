"""``manage.py enrol DOMAIN --stream NAME --sender ADDRESS``: make a sending domain, and print what to publish."""

from argparse import ArgumentParser
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from reputation import domains, publishing
from reputation.models import Kind, OrganisationalDomain, Route, SendingDomain, Stream, Warmed
from reputation.vault import BadMasterKey


class Command(BaseCommand):
    help = "Enrol a sending domain for a stream, and print every record to publish, as a zone file has it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the subdomain in From, such as agents.example.com")
        parser.add_argument("--stream", required=True, help="made if there is none of this name")
        parser.add_argument(
            "--kind", choices=Kind.values, default=Kind.AGENTS, help="of a stream that is made"
        )
        parser.add_argument("--sender", required=True, help="From when the agent names none")
        parser.add_argument("--route", default="direct", help="how its mail leaves")
        parser.add_argument("--ehlo", help="make the route, direct, with this name in EHLO")
        parser.add_argument("--source", help="... and from this address")
        parser.add_argument("--preset", choices=Warmed.Preset.values, default=Warmed.Preset.CAREFUL)
        parser.add_argument("--ed25519", action="store_true", help="sign a second time, with Ed25519")
        parser.add_argument(
            "--dedicated", action="store_true", help="declare the organisational domain dedicated to agents"
        )
        parser.add_argument("--yes", action="store_true", help="declare it without asking")
        parser.add_argument("--who", default=f"{getuser()} (command line)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            domain = self._enrol(**options)
        except (domains.NotEnrolled, domains.NotDeclared, BadMasterKey) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"; {domain} is enrolled for stream {domain.stream}. Publish this, then:")
        self.stdout.write(f";   manage.py verify {domain} --watch\n")
        for each in domains.to_publish(domain):
            for line in publishing.zone_lines(each):
                self.stdout.write(line)

    def _enrol(self, *, name: str, sender: str, who: str, **options: Any) -> SendingDomain:
        name = name.strip().lower().removesuffix(".")
        above = self._organisation(name)
        route = self._route(**options)
        if options["dedicated"]:
            self._ask(above, yes=options["yes"])
        with transaction.atomic():  # nothing stays of an enrolment that is refused
            if options["dedicated"]:
                domains.declare(above, OrganisationalDomain.Use.AGENTS, who=who)
            kind = {"kind": options["kind"]}
            stream, _ = Stream.objects.get_or_create(name=options["stream"], defaults=kind)
            how = {"preset": options["preset"], "ed25519": options["ed25519"]}
            return domains.enrol(stream, name, route, sender, who=who, **how)

    def _organisation(self, name: str) -> str:
        """By the public suffix list; says so where the tree walk finds another."""
        above = domains.organisation_of(name)
        found = domains.both_organisations(name)
        if found.by_walk is None:
            self.stderr.write("The DNS did not answer: whether the tree walk finds the same is not known.")
        if found.differ:
            self.stderr.write(
                f"Receivers differ about the organisational domain: {found.by_list} by the public suffix list, "
                f"{found.by_walk} by the tree walk of RFC 9989. "
                f"A DMARC record with psd=n at {found.by_list} makes them agree."
            )
        return above

    def _route(self, *, route: str, ehlo: str | None, source: str | None, **_: Any) -> Route:
        if ehlo:
            made, _new = Route.objects.get_or_create(
                name=route, defaults={"ehlo": ehlo, "source_address": source}
            )
            return made
        try:
            return Route.objects.get(name=route)
        except Route.DoesNotExist:
            raise CommandError(
                f"There is no route {route}. Make it in the admin, or a direct one with --ehlo NAME [--source ADDRESS]."
            ) from None

    def _ask(self, name: str, *, yes: bool) -> None:
        self.stderr.write(f"Agents will send from below {name}, and its reputation will be theirs.")
        if not yes and input("Type its name to declare it dedicated to agents: ").strip().lower() != name:
            raise CommandError("Nothing was declared and nothing enrolled.")
