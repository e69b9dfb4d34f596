"""The line of one measure: what was measured, against what, in which run."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One measure. `met` is None where there is no target, or nothing to compare with.

    `ratio` is value through yardstick; a target is a sentence for people, `met` its judgement.
    """

    measure: str
    value: float | None
    unit: str
    n: int
    yardstick: str | None = None
    yardstick_value: float | None = None
    target: str | None = None
    met: bool | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Value through yardstick."""
        if self.value is None or not self.yardstick_value:
            return None
        return self.value / self.yardstick_value

    def as_json(self) -> str:
        """The line, figures rounded to three digits."""
        told = {
            "measure": self.measure,
            "value": self.value,
            "unit": self.unit,
            "yardstick": self.yardstick,
            "yardstick_value": self.yardstick_value,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
            "n": self.n,
            **self.more,
        }
        return json.dumps({name: rounded(value) for name, value in told.items()})


def rounded(value: Any) -> Any:
    """Numbers with three significant digits or as whole ones, also inside lists."""
    if isinstance(value, float):
        return round(value) if abs(value) >= 100 else float(f"{value:.3g}")
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return value


def at_least(line: Line, factor: float) -> Line:
    """The line with the target that its ratio is `factor` or more."""
    met = None if line.ratio is None else line.ratio >= factor
    return _with(line, f"ratio >= {factor:g}", met)


def below(line: Line, limit: float) -> Line:
    """The line with the target that its value stays below `limit`."""
    met = None if line.value is None else line.value < limit
    return _with(line, f"value < {limit:g} {line.unit}", met)


def _with(line: Line, target: str, met: bool | None) -> Line:
    return Line(
        line.measure,
        line.value,
        line.unit,
        line.n,
        line.yardstick,
        line.yardstick_value,
        target,
        met,
        line.more,
    )


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def note(text: str) -> None:
    """Progress, for people, beside the lines."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
