"""The time of day where somebody lives, as far as an address tells it: by the country in which its domain ends. Pure.

The countries' zones are those of the time zone database (its table ``zone.tab``). A country of several zones is all of
them. Refuses to guess: generic endings, and those of small countries that are sold to everybody, tell nothing.
"""

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

# Sold as words, not as countries (registered from anywhere, as search engines treat them).
SOLD: Final = frozenset(
    "ac ad ag ai am as bz cc cd co dj fm gg gl im io is je la ly me ms nu pw sc sh sr st su tk to tv vc vu ws".split()
)
OTHER_NAMES: Final[Mapping[str, str]] = {"uk": "gb"}


def zones(domain: str) -> tuple[ZoneInfo, ...]:
    """The time zones of a domain's country (A-labels, lower case); none where that tells nothing."""
    ending = domain.rpartition(".")[2]
    return () if ending in SOLD else _zones_of(OTHER_NAMES.get(ending, ending))


@functools.lru_cache(maxsize=512)
def _zones_of(country: str) -> tuple[ZoneInfo, ...]:
    return tuple(ZoneInfo(name) for name in _countries().get(country, ()))


@functools.cache
def _countries() -> Mapping[str, tuple[str, ...]]:
    """Zone names by ISO 3166 code in lower case. Rows: code, coordinates, name, comment."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            found[country.lower()] = (*found.get(country.lower(), ()), name)
    return found
