"""Pictures: what is drawn is the figure it stands for, and nothing in it can act or dress itself."""

import re
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation import pictures
from reputation.pictures import Age, Bar, Column, Level, Share, When

SVG = "{http://www.w3.org/2000/svg}"
MONDAY = date(2026, 11, 2)
HOSTILE = '</title><script>alert(1)</script>" onload="alert(2)\' & <b>'


def drawn(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def of_class(root: ElementTree.Element, *words: str) -> list[ElementTree.Element]:
    return [each for each in root.iter() if set(words) <= set(each.get("class", "").split())]


def high(element: ElementTree.Element) -> float:
    return float(element.get("height", "nan"))


def bars(*caps: int, used: float = 0.5, today: bool = True) -> list[Bar]:
    """A day for each cap; the last one is today."""
    last = len(caps) - 1
    return [
        Bar(
            MONDAY + timedelta(days=n),
            cap,
            int(cap * used),
            when=When.TODAY if today and n == last else When.PAST,
        )
        for n, cap in enumerate(caps)
    ]


def test_a_bar_is_as_high_as_the_root_of_its_number() -> None:
    root = drawn(pictures.ramp(bars(25, 100, 400, used=1.0), "t"))
    outlines, fills = [[high(each) for each in of_class(root, word)] for word in ("cap", "used")]
    assert outlines == fills
    assert outlines[1] == pytest.approx(2 * outlines[0], abs=0.2)
    assert outlines[2] == pytest.approx(4 * outlines[0], abs=0.2)


def test_reserved_stands_on_used_and_both_under_the_cap() -> None:
    root = drawn(pictures.ramp([Bar(MONDAY, 100, 40, 30, When.TODAY, opened=90)], "t"))
    [used], [reserved], [cap], [opened] = (
        of_class(root, word) for word in ("used", "reserved", "cap", "opened")
    )
    top = {
        name: float(each.get("y", "nan"))
        for name, each in [("used", used), ("reserved", reserved), ("cap", cap)]
    }
    assert top["cap"] < float(opened.get("y1", "nan")) < top["reserved"] < top["used"]
    assert top["reserved"] + high(reserved) == pytest.approx(top["used"], abs=0.11)


def test_what_is_to_come_is_outline_only() -> None:
    root = drawn(pictures.ramp([*bars(10, 20), Bar(MONDAY + timedelta(days=2), 40, when=When.FORECAST)], "t"))
    assert len(of_class(root, "cap", "forecast")) == 1
    assert not of_class(root, "used", "forecast")


def test_a_day_without_a_cap_has_no_outline_and_a_day_off_nothing() -> None:
    root = drawn(pictures.ramp([Bar(MONDAY, None, 50), Bar(MONDAY + timedelta(days=1), None)], "t"))
    assert len(of_class(root, "used")) == 1
    assert not of_class(root, "cap")
    assert len(of_class(root, "day")) == 2


@pytest.mark.parametrize("kind", ["advanced", "held", "stepped_down", "slowed", "closed", "idle", "opened"])
def test_what_moved_a_ramp_is_marked_above_its_day(kind: str) -> None:
    root = drawn(pictures.ramp([Bar(MONDAY, 10, mark=kind)], "t"))
    assert len(of_class(root, "mark", kind.replace("_", "-"))) == 1


def test_mondays_and_today_are_named_and_never_on_top_of_each_other() -> None:
    days = [Bar(MONDAY + timedelta(days=n), 10, when=When.TODAY if n == 15 else When.PAST) for n in range(16)]
    root = drawn(pictures.ramp(days, "t"))
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"2 Nov", "9 Nov", "today"} <= set(words)
    assert "16 Nov" not in words  # yesterday's would lie under today's


@pytest.mark.parametrize(
    ("low", "high_end", "verdict"),
    [
        (0.0, 0.019, "fine"),  # surely below
        (0.0, 0.021, "unsure"),  # cannot be told
        (0.021, 0.03, "near"),  # surely above the line
        (0.041, 0.08, "over"),  # surely above twice the line
    ],
)
def test_a_share_is_judged_by_its_interval_not_by_its_value(
    low: float, high_end: float, verdict: str
) -> None:
    share = Share("bounces", 2, 100, low, high_end, 0.02)
    assert share.verdict == verdict
    assert of_class(drawn(pictures.shares([share], "t")), "dot", verdict)


def test_a_whisker_ends_where_its_interval_does_or_where_the_picture_does() -> None:
    rows = [Share("a", 2, 100, 0.01, 0.04, 0.02), Share("b", 2, 10, 0.06, 0.9, 0.02)]
    root = drawn(pictures.shares(rows, "t"))
    lines = [each for each in of_class(root, "whisker") if each.get("y1") == each.get("y2")]
    (first, second), limits = lines, sorted(float(each.get("x1", "nan")) for each in of_class(root, "limit"))
    assert float(first.get("x1", "nan")) == pytest.approx((4 + limits[0]) / 2, abs=0.2)
    assert float(first.get("x2", "nan")) == pytest.approx(limits[1], abs=0.2)
    assert float(second.get("x2", "nan")) < pictures.WIDE


def test_nothing_seen_yet_draws_no_dot_and_says_so() -> None:
    root = drawn(pictures.shares([Share("bounces", 0, 0, 0.0, 1.0, 0.02)], "t"))
    assert not of_class(root, "dot")
    assert "none yet" in [each.text for each in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (Share("complaints", 1, 2000, 0.0001, 0.0024, 0.0008), "0.05 % of 2,000 (0.01 to 0.24), line 0.08 %"),
        (Share("bounces", 3, 60, 0.014, 0.2, 0.02), "5 % of 60 (1.4 to 20), line 2 %"),
        (Share("bounces", 7, 7, 0.72, 1.0, 0.02), "100 % of 7 (72 to 100), line 2 %"),
        (Share("bounces", 0, 0, 0.0, 1.0, 0.02), "nothing seen yet"),
    ],
)
def test_a_share_is_told_with_its_interval_and_its_line(share: Share, words: str) -> None:
    assert pictures.told(share) == words


def test_a_key_is_as_long_as_it_is_old_and_late_when_it_is() -> None:
    root = drawn(
        pictures.ages(
            [Age("a", "active", 90, 180), Age("b", "active", 180, 180), Age("c", "retiring", 360, 0)], "t"
        )
    )
    young, late, retired = of_class(root, "age")
    assert float(late.get("width", "nan")) == pytest.approx(2 * float(young.get("width", "nan")), abs=0.2)
    assert "over" in late.get("class", "")
    assert "over" not in young.get("class", "") + retired.get("class", "")
    assert len(of_class(root, "limit")) == 2


def test_a_volume_below_and_above_its_line_lies_below_and_above_it() -> None:
    root = drawn(
        pictures.volume([Column("1 Nov", 4_999), Column("2 Nov", 5_001, now=True)], 5_000, "t", "bulk")
    )
    [line], (below, above) = of_class(root, "limit"), of_class(root, "used")
    assert float(above.get("y", "nan")) <= float(line.get("y1", "nan")) <= float(below.get("y", "nan"))


@pytest.mark.parametrize("count", [2, 7, 14, 24, 31])
def test_the_columns_of_a_volume_are_named_as_far_as_there_is_room(count: int) -> None:
    columns = [Column(f"{n + 1} Nov", n) for n in range(count)]
    root = drawn(pictures.volume(columns, 5, "t", "bulk"))
    places = [
        float(each.get("x", "nan")) for each in root.iter(f"{SVG}text") if str(each.text).endswith("Nov")
    ]
    assert 2 <= len(places) <= 7
    assert min(after - before for before, after in pairwise(places)) > 40
    assert root.findall(f".//{SVG}text")[-2].text == f"{count} Nov"


@pytest.mark.parametrize(
    "picture",
    [
        pictures.ramp([Bar(MONDAY, 10, 5, words=HOSTILE)], HOSTILE),
        pictures.shares([Share(HOSTILE, 1, 10, 0.0, 0.3, 0.02)], HOSTILE),
        pictures.ages([Age(HOSTILE, "active", 3, 180)], HOSTILE),
        pictures.volume([Column(HOSTILE, 3)], 10, HOSTILE, HOSTILE),
    ],
    ids=["ramp", "shares", "ages", "volume"],
)
def test_a_picture_has_a_title_and_words_of_others_stay_words(picture: str) -> None:
    root = drawn(picture)
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == HOSTILE
    tags = {each.tag.removeprefix(SVG) for each in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "line", "text", "path", "circle"}
    for each in root.iter():
        assert not [name for name in each.attrib if name == "style" or name.startswith("on")]
        assert re.fullmatch(r"[a-z -]*", each.get("class", ""))


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.sampled_from(When),
        ),
        max_size=40,
    )
)
def test_whatever_the_days_were_everything_is_drawn_inside(
    days: list[tuple[int | None, int, int, When]],
) -> None:
    rows = [
        Bar(MONDAY + timedelta(days=n), cap, used, more, when)
        for n, (cap, used, more, when) in enumerate(days)
    ]
    root = drawn(pictures.ramp(rows, "t"))
    floor = float(root.get("viewBox", "").split()[3])
    for each in root.iter(f"{SVG}rect"):
        x, y, wide = (float(each.get(name, "nan")) for name in ("x", "y", "width"))
        assert x >= 0
        assert x + wide <= pictures.WIDE + 0.2
        assert y >= 0
        assert y + high(each) <= floor


def test_a_long_name_is_cut_in_its_middle_and_told_whole() -> None:
    scope = "domain_provider:agents.acme.test/microsoft-consumer: bounces"
    assert pictures.shortened(scope, 20) == "domain_pr…r: bounces"
    assert pictures.shortened("stream:a", 20) == "stream:a"
    drawn = pictures.shares([Share(scope, 3, 7, 0.2, 0.7, 0.02)], "Evidence")
    assert f">{scope}</title>" in drawn
    assert f">{scope}</text>" not in drawn, "it would stand over the figure beside it"


def test_a_level_holds_until_the_next_point() -> None:
    root = drawn(pictures.levels([Level("01:00", 2), Level("02:00", 4)], HOSTILE, HOSTILE))
    [area] = of_class(root, "level")
    points = [tuple(map(float, each.split(","))) for each in area.get("points", "").split()]
    (_, floor), *steps, (_, end) = points
    assert floor == end
    heights = [floor - y for _, y in steps]
    assert heights[0] == heights[1]
    assert heights[2] == heights[3] == 2 * heights[0]
    assert "script" not in {each.tag.removeprefix(SVG) for each in root.iter()}


def test_no_level_at_all_is_drawn_too() -> None:
    assert of_class(drawn(pictures.levels([], "t", "d")), "level")
