"""What HTML and text link to, hide, and would run."""

import time

import pytest

from outbox import links


@pytest.mark.parametrize(
    ("html", "words"),
    [
        (
            '<a href="https://evil.example/x">https://acme.com/y</a>',
            "shows acme.com and leads to evil.example",
        ),
        ('<a href="https://evil.example">www.acme.com</a>', "shows acme.com"),
        ('<a href="https://evil.example">acme.com</a>', "shows acme.com"),
        ('<a href="https://evil.example"><b>ac</b>me.com</a>', "shows acme.com"),
        ("<a href=https:\\\\evil.example>acme.com</a>", "leads to evil.example"),  # as browsers read it
        ('<a href="ht\ntps://evil.example">acme.com</a>', "leads to evil.example"),
        ('<a href="https://acme.com@evil.example">pay</a>', "hides its host behind an @"),
        ('<a href="mailto:bob@evil.example">ada@acme.com</a>', "shows an address at acme.com"),
    ],
)
def test_a_link_that_lies(html: str, words: str) -> None:
    [link] = links.read("", html).links
    assert words in (links.lie(link) or "")


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://acme.com/y">https://acme.com/x</a>',
        '<a href="https://click.acme.com/y">www.acme.com</a>',  # the same organisation
        '<a href="https://acme.com">Read more</a>',
        '<a href="https://acme.com">report.md</a>',  # a file, not a host
        '<a href="https://acme.com">node.js</a>',
        '<a href="/relative">acme.com</a>',
        '<a href="mailto:ada@acme.com">ada@acme.com</a>',
    ],
)
def test_a_link_that_says_where_it_leads(html: str) -> None:
    assert [links.lie(link) for link in links.read("", html).links] == [None]


def test_links_of_text_are_read_too() -> None:
    reading = links.read("See https://a.example/x, or [https://b.example](https://c.example/y).", None)
    assert reading.hosts == ("c.example", "a.example", "b.example")
    assert any(links.lie(link) for link in reading.links)


@pytest.mark.parametrize(
    ("html", "active"),
    [
        ("<script>x</script>", "<script>"),
        ("<iframe src=x></iframe>", "<iframe>"),
        ("<form action=x>", "<form>"),
        ('<meta http-equiv="refresh" content="0">', "a refresh"),
        ("<base href=x>", "<base>"),
        ("<p onclick=x>", "a script in <p>"),
        ("<img/src=x/onerror=alert(1)>", "a script in <img>"),
        ('<a href="java\tscript:x">', "a javascript: address"),
        ('<a href="&#106;avascript:x">', "a javascript: address"),
        ('<a href="data:text/html,x">', "a data: address"),
        ("<style>@import url(x)</style>", "import of a style sheet"),
        ('<link rel=stylesheet href="https://x.example">', "a style sheet from elsewhere"),
        ('<p title=" onclick=1 ">x', None),  # words, not a script
        ("<p>Turn the light on = off</p>", None),
        ('<img src="data:image/png;base64,x">', None),
    ],
)
def test_what_would_act_by_itself(html: str, active: str | None) -> None:
    assert links.read("", html).active == active


@pytest.mark.parametrize(
    ("html", "hidden"),
    [
        ('<div style="display: none">x</div>', True),
        ("<p style='font-size:0'>x</p>", True),
        ("<p hidden>x</p>", True),
        ("<noscript>x</noscript>", True),
        ('<p style="font-size:0.9em">x</p>', False),
        ('<p style="font-size:12px;color:red">hidden</p>', False),
        ('<p style="opacity:0.5">x</p>', False),
        ('<p style="color:#fff">x</p>', True),
        ("<p style='font-size:9px;COLOR : White'>x</p>", True),
        ('<body bgcolor="#FFFFFF"><p style="color:rgb(255, 255, 255)">x</p>', True),
        ('<div style="background: white !important"><p style="color:#ffffff !important">x</p></div>', True),
        ('<td style="background:#05a"><a style="color:#fff" href="https://x.example">Pay</a></td>', False),
        ('<td bgcolor=navy><b style="color:white">x</b></td>', False),
        ('<style>.go { background-color: #05a }</style><a class="go" style="color:#fff">x</a>', False),
        ("<td style=\"background:url('a.png')\"><b style='color:#fff'>x</b></td>", False),
        ('<p style="background-color:#fff;color:#333">x</p>', False),
        ('<p style="color:#fffaf0;border-color:#fff">x</p>', False),
    ],
)
def test_text_that_nobody_sees(html: str, hidden: bool) -> None:
    assert links.read("", html).hidden is hidden


@pytest.mark.parametrize(
    ("html", "pixel"),
    [
        ('<img src="https://t.example/o.gif?u=1" width="1" height="1">', True),
        ("<img width=0 src=//t.example/o.gif>", True),
        ('<img src="https://t.example/o" style="border:0;width: 1px">', True),
        ('<img src="https://t.example/logo.png" width="120" height="1.5em">', False),
        ('<img src="https://t.example/logo.png" width="100%" style="max-width:1px">', False),
        ('<img src="cid:logo" width="1" height="1">', False),
        ('<img alt="width 1" src="https://t.example/logo.png">', False),
        ('<td width="1"><img src="https://t.example/logo.png"></td>', False),
    ],
)
def test_a_picture_that_only_watches(html: str, pixel: bool) -> None:
    assert links.read("", html).pixel is pixel


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<a href=",
        "[a](http://",
        "https://",
        "www.",
        "a.",
        "x@x.",
        "style=",
        "background:",
        "<p style=color:#fff ",
        "onx=",
        "<!--",
        "'",
        '"',
        "<p a=",
    ],
)
def test_hostile_text_costs_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    reading = links.read(text, text)
    [links.lie(link) for link in reading.links]
    assert time.process_time() - started < 0.5  # 0.02 on a free machine; what is not linear takes minutes
