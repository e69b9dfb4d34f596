"""What is the same message in another dress, and what only stands on the same paper."""

import random
import subprocess
import sys
import time
from collections.abc import Collection
from itertools import combinations

import pytest

from outbox.fingerprints import BINS, BLANK, Print, alike, is_one_time_code, print_of, repeats, similarity
from outbox.ownwords import words_of

SUBJECT = "Your second warehouse"
TEXT = """Hi {name},

we saw that {company} has opened a second warehouse near the harbour and thought you may want to hear how other
importers of that size keep their customs papers in order. Most of them have given up spreadsheets. Our team can show
you in twenty minutes what {company} would save every month. Would a call on Thursday suit you, or is early next week
better?

You find examples here: {link}
"""
GRACE = {
    "name": "Grace",
    "company": "Hopper Freight",
    "link": "https://acme.example/r/8f3kq2?utm_id=44&uid=91827",
}
BOB = {"name": "Bob", "company": "Northwind Traders", "link": "https://acme.example/r/zz81ab?utm_id=12&uid=5"}

FOOTER = """
Best regards,
Ada Lovelace

--
Acme Logistics Ltd, 12 Harbour Road, Bristol BS1 4RN. Registered in England No. 1234567.
This e-mail and its attachments are confidential and intended solely for the addressee. If you are not the intended
recipient, please delete it and tell us; any use, copying or disclosure of it is forbidden and may be unlawful. We have
taken care that it is free of viruses and accept no liability for any damage that one may cause. Please consider the
environment before printing. To unsubscribe from these messages, visit https://acme.example/u/17.
"""
NOTICE = FOOTER.partition("--\n")[2]  # nothing says where it begins
THREAD = """

On Mon, 23 Nov 2026 at 09:12, Grace Hopper <grace@example.org> wrote:
> Dear all, the container from Rotterdam is late again and the customer is asking when the goods will be on the shelf.
> I have told them Friday, but customs says that two of the papers are missing, the certificate of origin and the
> packing list. Could somebody at your end find out who has them and send me copies by tomorrow at noon? Without them
> we pay for another week in the harbour, which comes to four thousand euros and a very angry shop.
"""
# Nothing in it says that it is one.
SLOGAN = """

We move what you make. From our yard at the harbour of Bristol thirty-one lorries leave every night for Hamburg, Gdansk
and Porto, and every one of them has two drivers, a heated cabin and a coffee machine that works.

Ask Linus about Sunday tours, Margaret about frozen goods and Grace about anything with a propeller on it.
"""
SHORT = (
    "The certificate is with our broker in Rotterdam, I have asked him to mail it.",
    "Sorry, I am out this week. Linus has the file and knows about the packing list.",
    "Four thousand? Last time it was half of that. Who negotiated the new tariff?",
)


def printed(text: str, subject: str = SUBJECT, html: str | None = None, names: Collection[str] = ()) -> Print:
    return print_of(subject, text, html, names)


def same(one: Print, other: Print) -> bool:
    return alike(one.sketch, other.sketch) > 0 and alike(other.sketch, one.sketch) > 0


PLAIN = TEXT.format(**GRACE)

DRESSES = {
    "case": PLAIN.upper(),
    "another name, company and link": TEXT.format(**BOB),
    "no greeting": PLAIN.partition("\n\n")[2],
    "another greeting": PLAIN.replace("Hi Grace", "Good morning Mr. Hopper"),
    "wrapped otherwise": " ".join(PLAIN.split()),
    "Cyrillic letters": PLAIN.translate(str.maketrans("aeopcxyis", "аеорсхуіѕ")),
    "letters in bold": "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in PLAIN),
    "full-width letters": "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in PLAIN),
    "accents": "".join(c + ("\u0301" if c in "aeiou" else "") for c in PLAIN),
    "digits for letters": PLAIN.replace("l", "1").replace("o", "0"),
    "rn for m": PLAIN.replace("m", "rn"),
    "nothing visible between letters": "\u200b".join(PLAIN),
    "soft hyphens": PLAIN.replace("e", "e\u00ad"),
    "a sentence moved": PLAIN.replace("Most of them have given up spreadsheets. ", "").replace(
        "better?", "better? Most of them have given up spreadsheets."
    ),
    "a random token": f"{PLAIN}\n\n[ref: 8c43fd25cb6f949944ee]",
    "a thread below": PLAIN + THREAD,
    "a signature below": PLAIN + FOOTER,
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_copy_is_recognised_in_another_dress(dress: str) -> None:
    first = printed(PLAIN, names=["Grace Hopper", "grace.hopper"])
    for name in ("Grace Hopper", "Bob Smith"):
        assert same(first, printed(DRESSES[dress], names=[name]))


def test_what_says_the_same_word_for_word_has_one_exact_fingerprint() -> None:
    """Names, greeting, letters and what a link tracks are not words of the message."""
    alike_text = TEXT.replace("{company}", "your company")
    first = print_of(SUBJECT, alike_text.format(**GRACE), None, ["Grace Hopper"])
    dressed = alike_text.format(**BOB).upper().replace("HI BOB", "Hello Bob").replace("A", "А")
    assert print_of(f" {SUBJECT.upper()}", dressed, None, ["Bob Smith"]).exact == first.exact
    assert first.exact != printed(PLAIN).exact


def test_one_synonym_in_ten_words_on_either_side_is_recognised() -> None:
    rng = random.Random(7)
    synonyms = "swift plain grand minor decent assist supply commence adjacent improve".split()
    found = 0
    for _ in range(200):
        copies = []
        for _ in range(2):
            words = PLAIN.split(" ")
            for start in range(0, len(words) - 10, 10):
                words[start + rng.randrange(10)] = rng.choice(synonyms)
            copies.append(printed(" ".join(words)))
        found += same(*copies)
    assert found >= 194


def test_page_and_text_of_a_message_say_the_same() -> None:
    body = PLAIN.replace("\n\n", "</p><p>")
    page = (
        f"<html><head><style>p {{ color: red }}</style></head><body><!-- 8f3kq2 --><p>{body}</p>"
        '<img src="https://acme.example/pixel.gif?u=91827"></body></html>'
    )
    assert same(printed(PLAIN), printed("", html=page))
    assert same(
        printed("", html=page), printed("", html=page.replace("8f3kq2", "zz81ab").replace("91827", "5"))
    )


def test_a_page_of_one_image_is_known_by_its_image() -> None:
    page = '<a href="https://acme.example/r/{0}"><img src="https://acme.example/autumn/sale.png?u={0}"></a>'
    first, second = (printed("", subject="Hi", html=page.format(token)) for token in ("8f3kq2", "zz81ab"))
    other = printed(
        "", subject="Hi", html='<a href="https://acme.example/r/1"><img src="https://x.example/menu.png"></a>'
    )
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize("paper", [FOOTER, THREAD, FOOTER + THREAD, f"\n\n{NOTICE}", f"\n______\n{NOTICE}"])
def test_unlike_messages_on_the_same_paper_are_unlike(paper: str) -> None:
    prints = [printed(text + paper, subject="Re: Container from Rotterdam") for text in SHORT]
    assert not any(same(one, other) for one, other in combinations(prints, 2))


def test_an_answer_is_unlike_what_it_quotes() -> None:
    quoted = "\n".join(line.removeprefix("> ") for line in THREAD.strip().split("\n")[1:])
    asked = printed(quoted, subject="Container from Rotterdam")
    for text in SHORT:
        assert not same(asked, printed(text + THREAD, subject="Re: Container from Rotterdam"))


def test_unlike_pages_with_the_same_quotation_and_footer_are_unlike() -> None:
    page = (
        "<div>{}</div><div class='gmail_quote'><blockquote>" + THREAD + "</blockquote></div>"
        "<p>" + FOOTER.replace("\n", "<br>") + "</p>"
    )
    prints = [printed("", subject="Re: Container", html=page.format(text)) for text in SHORT]
    assert not any(same(one, other) for one, other in combinations(prints, 2))


def test_short_messages_that_differ_in_a_number_are_two() -> None:
    first, second = (printed(f"Invoice {n} for March is ready.", subject="Invoice") for n in (4711, 4712))
    assert not same(first, second)
    assert same(first, printed("INVOICE 4711 for March is ready!", subject="Invoice"))


@pytest.mark.parametrize(
    ("subject", "text", "other"),
    [
        ("Your appointment", "Your appointment on 3 May at 10:00 is confirmed.", ("confirmed", "cancelled")),
        ("Your order 1001", "Your order 1001 has shipped.", ("shipped", "been delivered")),
        ("Our meeting tomorrow", "See you at 3pm tomorrow.", ("3pm", "5pm")),
        ("What it costs", "The price is 100 EUR per month.", ("100", "110")),
        ("Your invitation", "You can come to the harbour on Friday at noon.", ("can", "can not")),
    ],
)
@pytest.mark.parametrize("below", ["", THREAD, FOOTER])
def test_very_short_messages_that_say_the_opposite_are_two_to_a_person(
    subject: str, text: str, other: tuple[str, str], below: str
) -> None:
    first, second = printed(text + below, subject), printed(text.replace(*other) + below, subject)
    assert not repeats(first.sketch, second.sketch)
    assert not repeats(second.sketch, first.sketch)
    for dress in (f"Hello Bob,\n\n{text.upper()}", "\u200b".join(text), text.replace("o", "о")):
        assert repeats(first.sketch, printed(dress + below, subject).sketch), dress


@pytest.mark.parametrize("dress", DRESSES)
def test_a_person_is_told_the_same_in_another_dress(dress: str) -> None:
    first, second = (printed(each, names=["Grace Hopper", "Bob"]) for each in (PLAIN, DRESSES[dress]))
    assert repeats(first.sketch, second.sketch)
    assert repeats(second.sketch, first.sketch)


def test_a_counter_makes_no_second_message_of_a_text_of_normal_length() -> None:
    text = "The nightly export of your customers has failed because the disk of the archive is full. Please make room "
    text += "and start it again."
    prints = [printed(f"{text} Attempt {n}", "Export failed").sketch for n in range(7, 12)]
    assert all(repeats(one, other) for one, other in combinations(prints, 2))


def test_a_display_name_cannot_blank_out_a_text() -> None:
    """The agent writes it: were all its words left out, every message could be made to say nothing."""
    words = PLAIN.split()
    names = [" ".join(words[start : start + 4]) for start in range(0, len(words), 4)]
    assert printed(PLAIN, names=names).words > 40
    assert same(printed(PLAIN, names=names), printed(PLAIN))


@pytest.mark.parametrize(
    "text",
    ["> all of it\n> is quoted", "-- \nall of it is a signature", "unsubscribe here", "Best regards,\nAda"],
)
def test_what_would_leave_nothing_is_left_alone(text: str) -> None:
    assert printed(text, subject="").words >= 2


def test_what_says_nothing_is_like_nothing() -> None:
    assert print_of("", " \n\u200b ", None) == BLANK
    enclosed = [print_of("", "", None, (), [content]) for content in (b"one", b"two")]
    assert enclosed[0].words == 1
    assert enclosed[0].exact != enclosed[1].exact
    assert (
        print_of("", "", None, (), [b"a", b"b"]).enclosed == print_of("", "", None, (), [b"b", b"a"]).enclosed
    )


def test_writing_without_spaces_is_compared_by_characters() -> None:
    text = "本日はお忙しい中ありがとうございました。次回の打ち合わせは木曜日の午後三時でよろしいでしょうか。"
    assert same(printed(text, subject=""), printed(text.replace("木曜日", "金曜日"), subject=""))
    assert not same(
        printed(text, subject=""),
        printed("請求書を添付しましたのでご確認ください。お支払いは月末までにお願いします。", subject=""),
    )


def test_a_print_is_the_same_in_every_process() -> None:
    """It is kept for weeks: Python's own hashes differ from one process to the next."""
    code = f"from outbox.fingerprints import print_of; p = print_of({SUBJECT!r}, {PLAIN!r}, None); print(p)"
    printed_there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed_there.strip() == repr(printed(PLAIN))
    assert all(-(1 << 63) <= number < 1 << 63 for number in (printed(PLAIN).exact, *printed(PLAIN).bands))


def test_a_sketch_estimates_what_two_texts_have_in_common() -> None:
    words = [f"w{n}" for n in range(1000)]
    for shared in (0, 200, 500, 800, 1000):
        other = [f"v{n}" for n in range(1000 - shared)]
        one, two = printed(" ".join(words), subject=""), printed(" ".join(words[:shared] + other), subject="")
        expected = shared / (2000 - shared)
        assert abs(similarity(one.sketch[:BINS], two.sketch[:BINS]) - expected) < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "> " * 50_000,
        "-" * 100_000,
        "\n" * 100_000,
        "hi " * 33_000,
        "On " + "x" * 100_000 + " wrote",
        "from: a\nsent: b\n" * 6_000,
        "http://" * 14_000,
        "a@" * 50_000,
        "www." * 25_000,
        "\u200b" * 100_000,
        "best regards,\n" * 7_000,
        "reset your password ://" * 4_000,
        ("unsubscribe" + " " * 30) * 2_500,
        "<div gmail " * 9_000,
        "<img a " * 14_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    for html in (None, f"<p>{text}</p>", f"<blockquote>{text}", f"<img src={text}", f"<div><img {text}"):
        began = time.process_time()
        print_of(text, text, html, [text])
        is_one_time_code(text, text)
        assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("subject", "text", "is_code"),
    [
        ("Your code", "Your verification code is 123456. It expires in ten minutes.", True),
        ("Sign in", "Use the one-time code 481-223 to sign in.", True),
        ("Acme security code", "123 456 is your security code", True),
        ("Anmeldung", "Ihr Bestätigungscode: 55 12 34? Nein: 551234", True),
        ("Reset your password", "Follow this link: https://acme.example/reset/8f3kq2", True),
        ("Confirm your e-mail address", "Please click https://acme.example/c/1", True),
        ("Invoice 20260", "Your invoice 4711 over 1200 euros is due.", False),
        ("Hello", "We have a code of conduct since 2019.", False),
        (SUBJECT, PLAIN, False),
        (SUBJECT, f"{PLAIN} {PLAIN} {PLAIN} Your verification code is 123456.", False),
    ],
)
def test_a_one_time_code_is_told_from_other_mail(subject: str, text: str, is_code: bool) -> None:
    assert is_one_time_code(subject, text) is is_code


def test_own_words_are_those_of_the_message() -> None:
    found = words_of(
        "Re: [list] Lunch", f"Hi Grace,\n\nFriday at noon?\n{FOOTER}{THREAD}", None, ["Grace Hopper"]
    )
    assert found.own == ["friday", "at", "noon"]
    assert len(found.whole) > 100
    plain = words_of("Lunch", "Friday at noon?", None)
    assert plain.own == plain.whole == ["iunch", "friday", "at", "noon"]


def test_what_a_streams_mail_ends_with_makes_no_two_messages_alike() -> None:
    blocks = tuple(block.strip() for block in SLOGAN.strip().split("\n\n"))
    first, second = (print_of("Papers", each + SLOGAN, None) for each in SHORT[:2])
    assert alike(first.sketch, second.sketch), "nobody has said that it is a footer"
    rewrapped = SLOGAN.replace("\n", " ")
    for footers in ((SLOGAN,), blocks, blocks[::-1]):
        first, second, third = (
            print_of("Papers", text, html, footers=footers)
            for text, html in (
                (SHORT[0] + SLOGAN, None),
                (SHORT[1] + rewrapped, None),
                ("", f"<p>{SHORT[0]}</p><div>{SLOGAN}</div>"),
            )
        )
        assert not alike(first.sketch, second.sketch)
        assert alike(first.sketch, third.sketch)
    alone = print_of("", SLOGAN, None, footers=blocks)
    assert alone.words > 20, "a message that is nothing else is that"
