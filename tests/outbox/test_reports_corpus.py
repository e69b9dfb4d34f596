"""The reader against a public corpus of real bounces with labels, where it is present; it is never copied here.

`CORPORA` names its folder (`../shared/corpora` beside the project otherwise). A third of the files, chosen by
the hash of the name, was held out while the rows were written; both shares are printed (`pytest -s`) and held to
the thresholds.
"""

import csv
import hashlib
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from outbox.reports import Family, Kind, read

CORPUS = Path(os.environ.get("CORPORA", Path(__file__).parents[3] / "shared" / "corpora")) / "bounces"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of bounces is not here (CORPORA)")

FAMILY_OF = {
    "recipient": "userunknown hostunknown hasmoved notaccept suspend onhold",
    "mailbox": "mailboxfull mesgtoobig exceedlimit",
    "policy": "filtered rejected norelaying policyviolation spamdetected contenterror virusdetected "
    "securityerror syntaxerror notcompliantrfc",
    "reputation": "blocked badreputation authfailure requireptr speeding toomanyconn failedstarttls",
    "transport": "expired networkerror systemerror systemfull mailererror",
    "feedback": "feedback",
    "none": "vacation delivered",
    "unknown": "undefined",
}
FAMILIES = {reason: Family(name) for name, reasons in FAMILY_OF.items() for reason in reasons.split()}


def held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 3 == 0


def labels(held: bool) -> list[dict[str, str]]:
    with (CORPUS / "labels.tsv").open() as lines:
        return [row for row in csv.DictReader(lines, delimiter="\t") if held_out(row["file"]) is held]


def counted(held: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in labels(held):
        reading = read((CORPUS / row["file"]).read_bytes())
        at = int(row["recipient_no"]) - 1
        report = reading.reports[at] if at < len(reading.reports) else None
        idle = Family.NONE if reading.kind is Kind.AUTO_REPLY else None
        hard, dead = report is not None and report.hard, row["hard"] == "true"
        counts["all"] += 1
        counts["soft"] += not dead
        counts["found"] += bool(report and report.recipient) or idle is not None
        counts["hard or not"] += hard is dead
        counts["soft called hard"] += hard and not dead
        counts["family"] += (report.family if report else idle) is FAMILIES[row["reason"]]
    return counts


@pytest.mark.parametrize("held", [False, True], ids=["seen while writing", "held out"])
def test_the_corpus_is_read_as_its_labels_say(held):
    counts = counted(held)
    print(f"\n{'held out' if held else 'seen'}: {dict(counts)}")
    assert counts["found"] >= 0.97 * counts["all"]
    assert counts["hard or not"] >= 0.97 * counts["all"]
    assert counts["soft called hard"] <= 0.01 * counts["soft"]
    assert counts["family"] >= 0.92 * counts["all"]


def spent(raw: bytes) -> float:
    started = time.process_time()
    read(raw)
    return time.process_time() - started


def test_each_message_takes_less_than_50_ms():
    for file in sorted(CORPUS.glob("*.eml")):
        raw = file.read_bytes()
        # the best of three: a collection of the whole test run's garbage falls into one of them
        assert min(spent(raw) for _ in range(3)) < 0.05, file.name
