"""``manage.py keys list|make|activate|revoke|rotate|reseal [DOMAIN]``: the life of signing keys, by hand.

No private half is ever shown. ``reseal`` puts every secret under the first of AO_MASTER_KEYS; it and ``--check`` end
with an error while anything is left under an older key.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from getpass import getuser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from reputation import keyring, resealing, rotation
from reputation.keyring import State
from reputation.models import KeyEvent, SendingDomain, SigningKey
from reputation.records import SELECTOR_TTL, zone_text
from reputation.vault import BadMasterKey

COUNTED: Final = (
    "{0.column}: {0.newest} newest, {0.resealed} resealed, {0.old} under an older key, {0.lost} lost"
)
ORDER: Final[list[str]] = [State.ACTIVE, State.PUBLISHED, State.CREATED, State.RETIRING, State.REVOKED]


class Command(BaseCommand):
    help = "List, make, activate, revoke and rotate signing keys; put sealed secrets under a new master key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=list(ACTIONS))
        parser.add_argument(
            "domain", nargs="?", default="", help="a sending domain; list and rotate take all"
        )
        parser.add_argument("--selector", default="", help="which key, if the domain has several")
        parser.add_argument("--algorithm", choices=SigningKey.Algorithm.values, default="rsa-sha256")
        parser.add_argument("--why", default="", help="the reason, for those who come after")
        parser.add_argument("--who", default=f"{getuser()} (command line)")
        parser.add_argument(
            "--force", action="store_true", help="activate a key that the DNS has not shown; needs --why"
        )
        parser.add_argument("--check", action="store_true", help="reseal: only count what is left")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            ACTIONS[action](self, options)
        except (BadMasterKey, keyring.NoReason) as error:
            raise CommandError(str(error)) from None

    def say(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.stdout.write(line)


def _list(command: Command, options: Mapping[str, Any]) -> None:
    keys = SigningKey.objects.select_related("domain").defer("private_sealed").order_by("domain__name", "pk")
    if options["domain"]:
        keys = keys.filter(domain=_domain(options))
    command.say(_line(key) for key in sorted(keys, key=lambda key: (key.domain.name, ORDER.index(key.state))))


def _make(command: Command, options: Mapping[str, Any]) -> None:
    key = keyring.make(_domain(options), options["algorithm"], who=options["who"], why=options["why"])
    command.say(["Made. Publish this TXT record; it is noticed by itself.", *_record(key)])


def _activate(command: Command, options: Mapping[str, Any]) -> None:
    force = options["force"]
    origins = {State.PUBLISHED, State.RETIRING, *([State.CREATED] if force else [])}
    key = _key(options, origins)
    if not keyring.activate(key, options["who"], options["why"], force=force):
        hint = "" if force else " One that the DNS has not shown is activated only with --force and --why."
        raise CommandError(f"{key} is {_state(key)} and cannot be activated.{hint}")
    command.say(_told(key))


def _revoke(command: Command, options: Mapping[str, Any]) -> None:
    key = _key(options, keyring.MOVES["revoke"].origins)
    if not keyring.revoke(key, options["who"], options["why"]):
        raise CommandError(f"{key} is revoked already.")
    command.say([*_told(key), "Take its record out of the DNS."])
    active = keyring.keys_of(key.domain_id, key.algorithm).filter(state=State.ACTIVE).first()
    command.say([f"{active} signs now." if active else _unsigned(key)])


def _unsigned(key: SigningKey) -> str:
    """What follows where no key of its algorithm is active any more."""
    words = f"No {key.algorithm} key of {key.domain} is active"
    if key.algorithm != SigningKey.Algorithm.RSA:
        return f"{words}."
    return (
        f"{words}: nothing is accepted or sent from it until one is. Next: manage.py keys make {key.domain}"
    )


def _rotate(command: Command, options: Mapping[str, Any]) -> None:
    """Of one domain now, whatever its age: switch to a published key, or make one; of all: make what is due."""
    if not options["domain"]:
        for event in rotation.rotate_due(keyring.now()):
            command.say(["Made. Publish this TXT record.", *_record(event.key)])
        return
    coming = keyring.keys_of(_domain(options).pk, options["algorithm"]).filter(state__in=keyring.COMING)
    ready = coming.filter(state=State.PUBLISHED).order_by("published_at").first()
    if ready is not None and keyring.activate(ready, options["who"], options["why"]):
        command.say(_told(ready))
    elif waiting := coming.first():
        command.say(["Publish this TXT record first, then rotate again.", *_record(waiting)])
    else:
        _make(command, options)


def _reseal(command: Command, options: Mapping[str, Any]) -> None:
    tallies = resealing.reseal(only_look=options["check"])
    command.say(map(COUNTED.format, tallies))
    if not all(tally.done for tally in tallies):
        raise CommandError("Not everything is under the newest master key: keep the older ones.")
    command.say(["Everything is under the newest master key: older ones may be dropped."])


ACTIONS: Final[Mapping[str, Callable[[Command, Mapping[str, Any]], None]]] = {
    "list": _list,
    "make": _make,
    "activate": _activate,
    "revoke": _revoke,
    "rotate": _rotate,
    "reseal": _reseal,
}


def _domain(options: Mapping[str, Any]) -> SendingDomain:
    found = SendingDomain.objects.filter(name=options["domain"].lower().rstrip(".")).first()
    if found is None:
        known = ", ".join(SendingDomain.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CommandError(f"Name a sending domain: {known or 'there is none yet'}.")
    return found


def _key(options: Mapping[str, Any], origins: Iterable[State]) -> SigningKey:
    """The key that is meant: by its selector, or the only one that may be."""
    domain = _domain(options)
    keys = SigningKey.objects.filter(domain=domain).select_related("domain").defer("private_sealed")
    if options["selector"]:
        keys = keys.filter(selector=options["selector"])
    else:
        keys = keys.filter(state__in=list(origins), algorithm=options["algorithm"])
    found = list(keys[:2])
    if len(found) != 1:
        raise CommandError(
            f"{domain} has {'several' if found else 'no'} such keys: see `keys list {domain}`."
        )
    return found[0]


def _line(key: SigningKey) -> str:
    return f"{key}  {key.algorithm}  {key.state}  since {_since(key):%Y-%m-%d %H:%M %Z}"


def _since(key: SigningKey) -> Any:
    return key.revoked_at or key.retired_at or key.activated_at or key.published_at or key.created_at


def _record(key: SigningKey) -> list[str]:
    """The line of a zone file that publishes a key."""
    return [f"{key}. {SELECTOR_TTL} IN TXT {zone_text('TXT', key.public_record)}"]


def _state(key: SigningKey) -> str:
    return SigningKey.objects.values_list("state", flat=True).get(pk=key.pk)


def _told(key: SigningKey) -> list[str]:
    last = KeyEvent.objects.filter(key=key).latest("pk")
    return [f"{key}: {last.get_kind_display().lower()}."]
