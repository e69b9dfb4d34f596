"""By which numbers and lists a stream's drafts are judged: the product's defaults, or what its admin set. Pure.

A `Policy` is what the rules may know of a person's wishes. Guarantees: it is whole and within bounds, or it is not
made; what a stored one does not say is the default of the stream's kind. Zero, where a number bounds something, means
that the rule is off. Transactional streams are for mail that people wait for: nothing of theirs is held or compared
unless their admin says so.
"""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

# What one look at the database counts to; above it a rule would be as good as off, and cost more.
MOST: Final = 100

LONGEST: Final = 30 * 24  # hours that what was sent can be compared with
MOST_FOOTERS, LONGEST_FOOTER = 20, 4_000  # looked for at the end of every draft

ONE_TIME_CODE: Final = "one_time_code"
REMINDER: Final = "reminder"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"quiet_zone: {name[:50]!r} is no time zone.") from None


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers and lists of one stream.

    Hours of the day are 0 to 24; equal ones are no quiet hours. They are hours where the recipient lives, if
    ``quiet_by_region`` and the address tells it, else of ``quiet_zone``. ``attachment_types`` are file name extensions
    in lower case without a dot. ``own_domains`` are names of the organisation besides its sending domains;
    ``known_domains`` are never taken for a look-alike. ``footers`` are blocks of text that end the stream's mail and
    say nothing of a message's own. ``repeats``: values of the tag ``kind`` that allow a copy.

    Raises:
        ValueError: a number or list that cannot be; the text names the field and says what it may be.
    """

    hold_everything: bool = False
    first_contact: bool = True
    new_agent: int = 10
    run_recipients: int = 10
    run_minutes: int = 10
    cluster_size: int = 5
    duplicate_hours: int = 7 * 24
    loop_repeats: int = 4
    repeats: tuple[str, ...] = (ONE_TIME_CODE, REMINDER)
    reminder_hours: int = 20
    footers: tuple[str, ...] = ()
    attachments: bool = True
    attachment_types: tuple[str, ...] = tuple(
        "csv docx gif ics jpeg jpg ods odt pdf png pptx txt webp xlsx".split()
    )
    lookalike_domains: bool = True
    own_domains: tuple[str, ...] = ()
    known_domains: tuple[str, ...] = ()
    content_lint: bool = True
    refuse_secrets: bool = True
    link_mismatch: bool = True
    quiet_from: int = 0
    quiet_until: int = 0
    quiet_zone: str = "UTC"
    quiet_by_region: bool = True

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name}: a whole number from {least:,} to {most:,}.")
        for name in SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name}: true or false.")
        for name in LISTS:
            words = getattr(self, name)
            if type(words) is not tuple or not all(type(word) is str and word for word in words):
                raise ValueError(f"{name}: a list of words.")
        if len(self.footers) > MOST_FOOTERS or any(len(each) > LONGEST_FOOTER for each in self.footers):
            raise ValueError(f"footers: at most {MOST_FOOTERS} blocks of {LONGEST_FOOTER:,} characters.")
        if unknown := set(self.repeats) - {ONE_TIME_CODE, REMINDER}:
            raise ValueError(f"repeats: {', '.join(sorted(unknown))} is none of ours.")
        _zone(self.quiet_zone)

    @property
    def zone(self) -> ZoneInfo:
        """Where its quiet hours are."""
        return _zone(self.quiet_zone)


BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "new_agent": (0, MOST),
    "run_recipients": (0, MOST),
    "run_minutes": (1, 60),
    "cluster_size": (0, 1_000_000),
    "duplicate_hours": (0, LONGEST),
    "loop_repeats": (0, 50),
    "reminder_hours": (1, LONGEST),
    "quiet_from": (0, 24),
    "quiet_until": (0, 24),
}
SWITCHES: Final = tuple(one.name for one in fields(Policy) if one.type in (bool, "bool"))
LISTS: Final = ("footers", "repeats", "attachment_types", "own_domains", "known_domains")

DEFAULT: Final = Policy()
TRANSACTIONAL: Final = replace(
    DEFAULT,
    first_contact=False,
    new_agent=0,
    run_recipients=0,
    cluster_size=0,
    duplicate_hours=0,
    attachments=False,
    lookalike_domains=False,
    content_lint=False,
    link_mismatch=False,
)
# For trying and for tests of everything else: nothing is held, nothing compared.
LENIENT: Final = replace(TRANSACTIONAL, refuse_secrets=False)


def default(stream_kind: str) -> Policy:
    """What holds where nobody has set anything."""
    return TRANSACTIONAL if stream_kind == "transactional" else DEFAULT


@functools.lru_cache(maxsize=1000)
def read(numbers: str | None, stream_kind: str) -> Policy:
    """The policy as it is stored (JSON), or the default where nothing is. What this program does not know is left out.

    Raises:
        ValueError: what is stored cannot be.
    """
    return default(stream_kind) if numbers is None else of(orjson.loads(numbers), stream_kind)


def of(numbers: Mapping[str, Any], stream_kind: str) -> Policy:
    """The same, of JSON that was read already."""
    known = {name: _list(value) for name, value in numbers.items() if name in _NAMES}
    return replace(default(stream_kind), **known)


def stored(policy: Policy) -> dict[str, Any]:
    """The policy as JSON keeps it."""
    return asdict(policy)


def _list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_NAMES: Final = frozenset(one.name for one in fields(Policy))
