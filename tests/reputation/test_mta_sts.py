"""MTA-STS records and policy files, read as RFC 8461 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation.mta_sts import MAX_AGE, MAX_SIZE, BadPolicy, Mode, Policy, parse, record_id

RECORDS = [
    (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),  # the RFC's own example
    (["v=STSv1;id=1"], "1"),
    (["v=STSv1 ; id=1 ; x-more=abc"], "1"),  # white space around semicolons, an extension
    (["v=STSv1; id=1; id=2"], "1"),  # the first of a repeated field counts
    (["unrelated", "v=STSv1; id=7"], "7"),  # other records under the name are discarded
    ([], None),
    (["v=STSv1; id=1", "v=STSv1; id=2"], None),  # several are none
    (["v=STSv1; id=1", "v=STSv1; id=1"], None),  # the same twice too
    (["v=STSv2; id=1"], None),
    (["V=stsv1; id=1"], None),  # the version is case-sensitive
    (["id=1; v=STSv1;"], None),  # the version comes first
    (["v=STSv1"], None),
    (["v=STSv1;"], None),  # no id
    (["v=STSv1; id="], None),
    (["v=STSv1; id=not-alnum"], None),
    (["v=STSv1; id=" + "1" * 32], "1" * 32),
    (["v=STSv1; id=" + "1" * 33], None),
    (["v=STSv1; id=١"], None),  # a digit, but not one of ASCII's
]


@pytest.mark.parametrize(("texts", "expected"), RECORDS)
def test_a_record_is_one_or_none(texts: list[str], expected: str | None) -> None:
    assert record_id(texts) == expected


def policy(*lines: str, version: str = "STSv1", mode: str = "enforce", age: str = "600") -> str:
    return "\n".join((f"version: {version}", f"mode: {mode}", *lines, f"max_age: {age}"))


EXAMPLE = (  # the RFC's own
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    "mx: backupmx.example.com\r\nmax_age: 604800\r\n"
)

POLICIES = [
    (
        EXAMPLE,
        Policy(Mode.ENFORCE, ("mail.example.com", "*.example.net", "backupmx.example.com"), 604_800),
    ),
    (EXAMPLE.replace("\r\n", "\n"), parse(EXAMPLE.encode())),  # LF ends a line too
    (EXAMPLE.rstrip(), parse(EXAMPLE.encode())),  # the last line may want its end
    (policy("mx: A.Example.COM"), Policy(Mode.ENFORCE, ("a.example.com",), 600)),  # names have no case
    (policy("mx:a.test"), Policy(Mode.ENFORCE, ("a.test",), 600)),
    (policy("mx: a.test  \t"), Policy(Mode.ENFORCE, ("a.test",), 600)),
    (policy("mx: a.test", "mx: a.test"), Policy(Mode.ENFORCE, ("a.test",), 600)),
    (policy("mx: a.test", "x-new: ünicode"), Policy(Mode.ENFORCE, ("a.test",), 600)),  # extensions
    (policy("mx: a.test", "mode: none"), Policy(Mode.ENFORCE, ("a.test",), 600)),  # first of a repeated field
    (policy("mx: a.test", mode="testing"), Policy(Mode.TESTING, ("a.test",), 600)),
    (policy(mode="none"), Policy(Mode.NONE, (), 600)),  # needs no host
    (policy("mx: a.test", age="0"), Policy(Mode.ENFORCE, ("a.test",), 0)),
    (policy("mx: a.test", age="9999999999"), Policy(Mode.ENFORCE, ("a.test",), MAX_AGE)),
    (policy("mx: a.test", "", " "), Policy(Mode.ENFORCE, ("a.test",), 600)),  # empty lines say nothing
]


@pytest.mark.parametrize(("text", "expected"), POLICIES)
def test_a_valid_policy_is_read(text: str, expected: Policy) -> None:
    assert parse(text.encode()) == expected


BAD = [
    (b"", "version"),
    (policy("mx: a.test", version="STSv2").encode(), "version"),
    (policy("mx: a.test", mode="Enforce").encode(), "mode"),
    (policy("mx: a.test", mode="").encode(), "field"),
    (policy("mx: a.test", age="-1").encode(), "max_age"),
    (policy("mx: a.test", age="1e9").encode(), "max_age"),
    (policy("mx: a.test", age="12345678901").encode(), "max_age"),
    (b"version: STSv1\nmode: enforce\nmx: a.test", "max_age"),
    (policy().encode(), "no mail host"),
    (policy(mode="testing").encode(), "no mail host"),
    (policy("mx: *").encode(), "mail host"),
    (policy("mx: a.*.test").encode(), "mail host"),
    (policy("mx: *.*.test").encode(), "mail host"),
    (policy("mx: *a.test").encode(), "mail host"),
    (policy("mx: a..test").encode(), "mail host"),
    (policy("mx: a.test b.test").encode(), "mail host"),
    (policy("mx: " + "a" * 64 + ".test").encode(), "mail host"),
    (policy("nonsense").encode(), "field"),
    (b"<html>404</html>", "field"),
    (policy("mx: a.test").replace("\n", "\r").encode(), "version"),  # CR alone ends no line
    (b"version: STSv1\nx: \xff\n", "UTF-8"),
    (policy("mx: a.test", "x: " + "y" * MAX_SIZE).encode(), "longer"),
    (policy(*(f"mx: h{n}.test" for n in range(1001))).encode(), "more than"),
]


@pytest.mark.parametrize(("content", "why"), BAD)
def test_what_is_not_a_policy_is_refused_and_said_why(content: bytes, why: str) -> None:
    with pytest.raises(BadPolicy, match=why):
        parse(content)


LINES = st.sampled_from(
    [
        "version: STSv1",
        "mode: enforce",
        "mode: none",
        "mx: a.test",
        "mx: *.a.test",
        "mx: *",
        "max_age: 1",
        "x: \u00fc",
        "",
    ]
)
FILES = st.one_of(
    st.binary(max_size=200), st.lists(LINES, max_size=12).map(lambda lines: "\n".join(lines).encode())
)


@given(FILES)
def test_any_bytes_are_a_whole_policy_or_none(content: bytes) -> None:
    try:
        found = parse(content)
    except BadPolicy:
        return
    assert found.hosts or found.mode is Mode.NONE
    assert all(found.matches(host.replace("*", "any")) for host in found.hosts)


MATCHES = [
    ("mx.example.com", True),
    ("MX.Example.COM.", True),
    ("a.example.net", True),
    ("example.net", False),  # a wildcard is one label, not none
    ("a.b.example.net", False),  # and not two
    ("mx.example.com.evil.test", False),
    ("evilmx.example.com", False),
    ("*.example.net", True),  # cannot be a host's name; harmless
    ("com", False),
    ("", False),
]


@pytest.mark.parametrize(("host", "expected"), MATCHES)
def test_a_host_matches_by_name_or_by_one_wildcard_label(host: str, expected: bool) -> None:
    assert Policy(Mode.ENFORCE, ("mx.example.com", "*.example.net"), 1).matches(host) is expected
