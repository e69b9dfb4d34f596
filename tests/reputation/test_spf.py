"""SPF against the test suite of RFC 7208, which the tests fetch, and the examination of whole trees.

The suite is not ours to copy: it comes out of pyspf's source archive into var/. Where that cannot be had, the
test that stands for its 203 cases is skipped and says so.
"""

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reputation.spf import Absent, Lookup, Result, Temporary, check_host, examine

CASES = 203
ARCHIVE = "pyspf-2.0.14"
KEPT = Path(__file__).parents[2] / "var" / "rfc7208-tests.yml"

TIMEOUT = "TIMEOUT"
Zone = Mapping[str, Sequence[Any]]


@pytest.fixture(scope="session")
def suite() -> list[dict[str, Any]]:
    """The scenarios of the suite, fetched once and kept."""
    if not KEPT.exists():
        try:
            fetch()
        except (subprocess.SubprocessError, OSError) as why:
            pytest.skip(
                f"the 203 cases of RFC 7208 are not run: {ARCHIVE} cannot be had ({type(why).__name__})"
            )
    return list(yaml.safe_load_all(KEPT.read_text(encoding="utf-8")))


def fetch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--no-deps"]
        wanted = ["--no-binary", ":all:", "--dest", folder, ARCHIVE.replace("-", "==")]
        subprocess.run([*pip, *wanted], check=True, timeout=180, capture_output=True)
        with tarfile.open(Path(folder) / f"{ARCHIVE}.tar.gz") as archive:
            member = archive.extractfile(f"{ARCHIVE}/test/rfc7208-tests.yml")
            assert member is not None
            KEPT.parent.mkdir(exist_ok=True)
            # in one step, so that a second run beside this one never reads half a file
            part = Path(tempfile.mkstemp(dir=KEPT.parent)[1])
            part.write_bytes(member.read())
            part.replace(KEPT)


def answering(zone: Zone) -> Lookup:
    """A look-up function over a zone as the suite writes it: a list of {type: value}, or TIMEOUT, per name."""
    kept = {name.lower(): entries for name, entries in zone.items()}

    def lookup(name: str, rdtype: str, links: int = 0) -> tuple[str, ...]:
        entries = kept.get(name.lower(), [])
        values = tuple(value for entry in entries for value in values_of(entry, rdtype, entries))
        if values:
            return values
        aliases = [entry["CNAME"] for entry in entries if isinstance(entry, dict) and "CNAME" in entry]
        if TIMEOUT in entries or links > 8:
            raise Temporary
        if aliases:
            return lookup(aliases[0].removesuffix("."), rdtype, links + 1)
        raise Absent

    return lookup


def values_of(entry: Any, rdtype: str, entries: Sequence[Any]) -> list[str]:
    """The suite writes an SPF record as SPF and means a TXT as well, unless the name has TXT records of its own."""
    if not isinstance(entry, dict):
        return []
    own_txt = any(isinstance(each, dict) and "TXT" in each for each in entries)
    kind, value = next(iter(entry.items()))
    if kind == "SPF" and not own_txt:
        kind = "TXT"
    if kind != rdtype or value == "NONE":
        return []
    if kind == "MX":
        return [f"{value[0]} {value[1]}."]
    return ["".join(value) if isinstance(value, list) else value]


def test_every_case_of_the_suite_of_rfc_7208_comes_out_as_listed(suite: list[dict[str, Any]]) -> None:
    wrong, judged = {}, 0
    for scenario in suite:
        lookup = answering(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            judged += 1
            sender, helo = case["mailfrom"], case["helo"]
            domain = sender.rpartition("@")[2] or helo
            found = check_host(case["host"], domain, sender, helo, lookup)
            if not as_listed(case, found.result, found.explanation):
                wrong[name] = (case, found)
    assert wrong == {}
    assert judged == CASES


def as_listed(case: Mapping[str, Any], result: Result, explanation: str) -> bool:
    """The suite allows several results where the RFC does, and calls an explanation of ours DEFAULT."""
    results = case["result"] if isinstance(case["result"], list) else [case["result"]]
    explained = case.get("explanation", explanation or "DEFAULT") == (explanation or "DEFAULT")
    return result in results and explained


@pytest.mark.parametrize(
    ("zone", "result", "problem"),
    [
        ({}, Result.NONE, "rp.example.org has no SPF record"),
        ({"rp.example.org": ["v=spf1 -all", "v=spf1 mx"]}, Result.PERMERROR, "has 2 SPF records"),
        ({"rp.example.org": ["v=spf1 ip4:1.2.3 -all"]}, Result.PERMERROR, "“ip4:1.2.3”"),
        ({"rp.example.org": ["v=spf1 a:192.0.2.1 -all"]}, Result.PERMERROR, "“192.0.2.1” is not a domain name"),
        ({"rp.example.org": TIMEOUT}, Result.TEMPERROR, "nobody answered for the SPF record of rp.example.org"),
        ({"rp.example.org": ["v=spf1 include:gone.example -all"]}, Result.PERMERROR, "gone.example has no SPF"),
    ],
)  # fmt: skip
def test_says_in_words_why_there_is_no_result(zone: Mapping[str, Any], result: Result, problem: str) -> None:
    found = check_host("192.0.2.1", "rp.example.org", "b@rp.example.org", "mail.example.org", txt(zone))
    assert found.result is result
    assert problem in found.problem


def test_counts_the_lookups_it_spent() -> None:
    zone = {
        "a.example": ["v=spf1 include:b.example a:none.example -all"],
        "b.example": ["v=spf1 exists:no.b.example"],
    }
    found = check_host("192.0.2.1", "a.example", "x@a.example", "h.example", txt(zone))
    assert (found.result, found.lookups, found.voids) == (Result.FAIL, 3, 2)


def test_refuses_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"mail\.example"):
        check_host("mail.example", "a.example", "", "h.example", txt({}))


def txt(zone: Mapping[str, Any]) -> Lookup:
    """A zone of TXT values; "A" among them stands for an address."""
    return answering(
        {
            name: [TIMEOUT]
            if values == TIMEOUT
            else [{"A": "192.0.2.9"} if one == "A" else {"TXT": one} for one in values]
            for name, values in zone.items()
        }
    )


ELEVEN = {f"i{number}.example": ["v=spf1 ip4:192.0.2.1 -all"] for number in range(11)}


@pytest.mark.parametrize(
    ("zone", "lookups", "voids", "problem"),
    [
        ({"d.example": ["v=spf1 ip4:192.0.2.1 -all"]}, 0, 0, ""),
        ({"d.example": ["v=spf1 a -all", "unrelated"]}, 1, 1, ""),  # the domain has no address
        ({"d.example": ["v=spf1 a mx -all", "A"]}, 2, 1, ""),
        ({"d.example": ["v=spf1 exists:%{i}.d.example -all"]}, 1, 0, ""),  # only a mail can tell
        ({"d.example": ["v=spf1 include:_s.%{d} -all"], "_s.d.example": ["v=spf1 -all"]}, 1, 0, ""),
        ({"d.example": ["v=spf1 -all a mx include:gone.example"]}, 0, 0, ""),  # never reached
        ({"d.example": ["v=spf1 redirect=e.example"], "e.example": ["v=spf1 a -all", "A"]}, 2, 0, ""),
        ({"d.example": ["v=spf1 -all", "v=spf1 ~all"]}, 0, 0, "d.example has 2 SPF records"),
        ({"d.example": ["v=spf1 -al"]}, 0, 0, "“-al” is not a mechanism"),
        ({"d.example": ["v=spf1 include:e.example -all"]}, 1, 0, "e.example is included and has no SPF"),
        ({"d.example": ["v=spf1 include:d.example -all"]}, 1, 0, "leads back to itself"),
        ({"d.example": ["v=spf1 a:x.example a:y.example a:z.example -all"]}, 3, 3, "3 look-ups find nothing"),
        (
            ELEVEN | {"d.example": [f"v=spf1 {' '.join(f'include:{name}' for name in ELEVEN)} -all"]},
            11,
            0,
            "11 terms ask the DNS and receivers stop at 10",
        ),
    ],
)
def test_examines_the_whole_tree(zone: Mapping[str, Any], lookups: int, voids: int, problem: str) -> None:
    report = examine("d.example", txt(zone))
    assert (report.lookups, report.voids) == (lookups, voids)
    assert len(report.problems) == bool(problem)
    assert problem in "".join(report.problems)


def test_an_unanswered_name_is_named_and_is_no_problem_of_the_record() -> None:
    zone = {
        "d.example": ["v=spf1 include:e.example a:f.example -all"],
        "e.example": TIMEOUT,
        "f.example": TIMEOUT,
    }
    report = examine("d.example", txt(zone))
    assert report.unanswered == ("e.example", "f.example")
    assert (report.problems, report.voids, report.ending) == ((), 0, "-all")


def test_names_every_record_it_read_and_what_they_end_at() -> None:
    zone = {"d.example": ["v=spf1 include:e.example redirect=f.example"], "e.example": ["v=spf1 ?all"]}
    report = examine("d.example", txt(zone | {"f.example": ["v=spf1 ptr ~all"]}))
    assert report.names == ("d.example", "e.example", "f.example")
    assert report.ending == "~all"
    assert "slow and unreliable" in report.advice[0]


def test_a_tree_without_end_is_left_after_fifty_terms() -> None:
    asked = []

    def lookup(name: str, rdtype: str) -> tuple[str, ...]:
        asked.append(name)
        return (f"v=spf1 include:x.{name[:200]}.example include:y.{name[:200]}.example",)

    assert examine("d.example", lookup).problems
    assert len(asked) <= 51


@pytest.mark.parametrize(
    ("names", "explained"),
    [
        (["mx.other.example", "mx.d.example", "d.example"], "d.example"),  # the domain itself
        (["mx.other.example", "mx.d.example"], "mx.d.example"),  # else a name below it
        (["mx.other.example", "forged.example"], "mx.other.example"),  # else any that leads back
        (["forged.example"], "unknown"),
    ],
)
def test_the_validated_name_is_the_nearest_that_leads_back(names: list[str], explained: str) -> None:
    zone: dict[str, list[Any]] = {name: [{"A": "192.0.2.1"}] for name in names if name != "forged.example"}
    zone.setdefault("d.example", []).append({"TXT": "v=spf1 -all exp=why.d.example"})
    zone |= {
        "1.2.0.192.in-addr.arpa": [{"PTR": f"{name}."} for name in names],
        "why.d.example": [{"TXT": "%{p}"}],
    }
    found = check_host("192.0.2.1", "d.example", "a@d.example", "h.example", answering(zone))
    assert found.explanation == explained


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1 a:x%%- -all", Result.PERMERROR),  # ends in a dash, though %- would be a macro
        ("v=spf1 a:x%%a -all", Result.PERMERROR),
        ("v=spf1 a:x.%%%- -all", Result.FAIL),
        ("v=spf1 a:%{d1r}.example -all", Result.FAIL),
        ("v=spf1 a:%{d0}.example -all", Result.PERMERROR),
        ("v=spf1 x=%{d" + "1" * 5000 + "} -all", Result.PERMERROR),  # more digits than Python likes to read
    ],
)
def test_macros_are_read_to_the_letter(record: str, result: Result) -> None:
    zone = txt({"d.example": [record]})
    assert check_host("192.0.2.1", "d.example", "a@d.example", "h.example", zone).result is result


@given(st.text(alphabet="v=spf1 -~?+:/.%{}dilr0129aempxtcluhrys_,\x00é", max_size=60).map("v=spf1 ".__add__))
def test_no_record_makes_it_fail_otherwise_than_with_a_result(record: str) -> None:
    lookup = txt({"d.example": [record, "A"]})
    assert check_host("192.0.2.1", "d.example", "a@d.example", "h.example", lookup).result in Result
    assert examine("d.example", lookup).domain == "d.example"
