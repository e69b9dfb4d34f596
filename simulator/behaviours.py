"""What a recipient does to its sender: one small function per behaviour, chosen by the local part.

The local part begins with a name from the table, followed by its end or anything but a letter; the longest
such name wins, and no name means `ok`. After the name may stand a number (`code451`), and words set off by
`-` or `.`: where to act (`-rcpt -data -body -dot`), how long (`-3s`, `-250ms`), which enhanced code
(`-e511`). From a `+` on all is ignored: `nobody-dot+x`, `late-3s.17`, `code450-e511`.

At the dot a behaviour that `keeps` acts after the message is in the oracle's log: the fault comes when the
server has taken responsibility, which is the worst case for whoever sends it again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.conversation import Conversation


class Step(StrEnum):
    """Where in the session a behaviour acts; BODY is when its first octets are here.

    The first two are chosen by host, the others by recipient.
    """

    GREETING = "greeting"
    VERB = "verb"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`act` answers the client, and returns an awaitable if that takes time; `answers` is whether it does."""

    name: str
    step: Step
    act: "Act"
    keeps: bool = True
    answers: bool = True
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address and what its local part asks for; `number` is 0 unless given."""

    address: str
    behaviour: Behaviour
    step: Step
    number: int = 0
    seconds: float = 0.0
    enhanced: str = ""


Act = Callable[["Conversation", Recipient], Awaitable[None] | None]

FOREVER: Final = 600.0
"""Longer than any client ought to wait; then even the rudest server hangs up."""


def accept(talk: "Conversation", _to: Recipient) -> None:
    """Go on as if nothing were wrong."""
    talk.accept()


def say(what: str) -> Act:
    """Refuse in the family's words; 421 closes the channel (RFC 5321 §3.8)."""

    def act(talk: "Conversation", to: Recipient) -> None:
        talk.say(what, to)

    return act


def greylist(talk: "Conversation", to: Recipient) -> None:
    """Refuse the first attempt of a (return-path, recipient) pair, accept the next."""
    if not talk.world.seen_before(talk.mail_from, to.address):
        talk.say("grey", to)
    elif talk.step is Step.DOT:
        talk.keep(250, talk.accept)
    else:
        talk.accept()


def code(talk: "Conversation", to: Recipient) -> None:
    """Say any code; without `-e...` there is no enhanced code. After the dot 2yz and 3yz keep the message."""
    number = to.number or 250
    enhanced = f"{to.enhanced} " if to.enhanced else ""
    answer = partial(talk.answer, f"{number} {enhanced}as you wished", to)
    if talk.step is Step.DOT and number < 400:
        talk.keep(number, answer)
    else:
        answer()


async def late(talk: "Conversation", to: Recipient) -> None:
    """Accept, but only after a while."""
    await asyncio.sleep(to.seconds)
    talk.accept()


async def tarpit(talk: "Conversation", to: Recipient) -> None:
    """Accept, one byte of the reply at a time."""
    talk.accept()
    await talk.drip(to.seconds)


def drop(talk: "Conversation", _to: Recipient) -> None:
    """Close the connection instead of answering."""
    talk.close()


def reset(talk: "Conversation", _to: Recipient) -> None:
    """Send RST instead of answering."""
    talk.reset()


def drop_in_body(talk: "Conversation", to: Recipient) -> None:
    """Close as soon as `number` octets of the body (one unless told) are here."""
    talk.drop_after(to.number or 1)


async def silent(talk: "Conversation", to: Recipient) -> None:
    """Never answer."""
    await talk.gone(to.seconds)


async def stall(talk: "Conversation", to: Recipient) -> None:
    """Read nothing more, so that the client's window closes."""
    await talk.freeze(to.seconds)


def slow_read(talk: "Conversation", to: Recipient) -> None:
    """Take the body at 2,000 octets a second (unless told), in gulps of what the kernel buffers."""
    talk.throttle(to.number or 2_000)


async def endless(talk: "Conversation", _to: Recipient) -> None:
    """A multi-line reply without end, as fast as the client reads."""
    lines = (talk.positive + b"-and another thing\r\n") * 64
    while not talk.closed:
        talk.push(lines)
        await talk.writable()


async def long_line(talk: "Conversation", _to: Recipient) -> None:
    """9,000 octets of a reply, and no CRLF."""
    talk.push(talk.positive + b" " + b"x" * 9_000)
    await talk.gone(FOREVER)


def garbage(talk: "Conversation", _to: Recipient) -> None:
    """Something that is not a reply."""
    talk.push(b"\x00\xff\x1b[31mnot a reply at all\r\n")


def two_replies(talk: "Conversation", to: Recipient) -> None:
    """Accept twice in a row."""
    accept(talk, to)
    talk.push(b"250 2.0.0 and once more\r\n")


def accept_then_421(talk: "Conversation", to: Recipient) -> None:
    """Accept, and answer 421 to whatever comes next."""
    accept(talk, to)
    talk.weary = True


def accept_then_drop(talk: "Conversation", to: Recipient) -> None:
    """Accept, and close at once."""
    accept(talk, to)
    talk.close()


def accept_then_bounce(talk: "Conversation", to: Recipient) -> None:
    """Accept, and send a DSN (RFC 3464) to the return-path."""
    accept(talk, to)
    talk.world.returns.bounce(talk.message, to.address, talk.host.name, delay=to.seconds)


def accept_then_complain(talk: "Conversation", to: Recipient) -> None:
    """Accept, and send an abuse report (RFC 5965)."""
    accept(talk, to)
    talk.world.returns.complain(talk.message, to.address, talk.host.name, delay=to.seconds)


def bad_tls(talk: "Conversation", _to: Recipient) -> None:
    """Agree to STARTTLS, then talk nonsense."""
    talk.push(b"220 2.0.0 Ready to start TLS\r\n\x15\x03\x01\x00\x02\x02\x28this is no TLS record\r\n")
    talk.close()


async def inject_tls(talk: "Conversation", _to: Recipient) -> None:
    """Send a plaintext reply behind the 220, as somebody in the middle would (RFC 3207 §6)."""
    await talk.secure(b"250 2.0.0 injected\r\n")


def _row(
    name: str, step: Step, act: Act, *, keeps: bool = True, answers: bool = True, seconds: float = 0.0
) -> tuple[str, Behaviour]:
    return name, Behaviour(name, step, act, keeps=keeps, answers=answers, seconds=seconds)


def _refusal(name: str, step: Step = Step.RCPT) -> tuple[str, Behaviour]:
    return _row(name, step, say(name), keeps=False)


OK: Final = Behaviour("ok", Step.DOT, accept)

BEHAVIOURS: Final[dict[str, Behaviour]] = dict(
    [
        ("ok", OK),
        _refusal("nobody"),
        _refusal("inactive"),
        _refusal("full"),
        _refusal("overquota"),
        _refusal("block"),
        _refusal("auth", Step.DOT),
        _refusal("rate"),
        _refusal("ratedkim", Step.DOT),
        _refusal("msauth", Step.DOT),
        _refusal("msslow"),
        _refusal("msblock"),
        _refusal("yahoodefer"),
        _row("grey", Step.RCPT, greylist, keeps=False),
        _row("code", Step.DOT, code, keeps=False),
        _row("late", Step.DOT, late, seconds=5.0),
        _row("tarpit", Step.RCPT, tarpit, seconds=1.0),
        _row("drop", Step.RCPT, drop, answers=False),
        _row("drop354", Step.DATA, drop, answers=False),
        _row("dropbody", Step.BODY, drop_in_body, answers=False),
        _row("dropdot", Step.DOT, drop, answers=False),
        _row("lostdot", Step.DOT, drop, keeps=False, answers=False),
        _row("dropafter", Step.DOT, accept_then_drop),
        _row("reset", Step.DOT, reset, answers=False),
        _row("silent", Step.DOT, silent, answers=False, seconds=FOREVER),
        _row("stall", Step.BODY, stall, answers=False, seconds=FOREVER),
        _row("slowread", Step.BODY, slow_read),
        _row("endless", Step.RCPT, endless, answers=False),
        _row("longline", Step.RCPT, long_line, answers=False),
        _row("garbage", Step.DOT, garbage, answers=False),
        _row("tworeplies", Step.DOT, two_replies),
        _row("rset421", Step.DOT, accept_then_421),
        _row("bounce", Step.DOT, accept_then_bounce),
        _row("complain", Step.DOT, accept_then_complain),
        _row("badtls", Step.RCPT, bad_tls, answers=False),
        _row("injecttls", Step.RCPT, inject_tls, answers=False),
    ]
)

_NAMES = "|".join(sorted(map(re.escape, BEHAVIOURS), key=len, reverse=True))
_LOCAL_PART = re.compile(rf"({_NAMES})(?![a-z])(\d*)([^+@]*)", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+)(ms|s)")
_STEPS: Final = {step.value: step for step in (Step.RCPT, Step.DATA, Step.BODY, Step.DOT)}


def read(address: str) -> Recipient:
    """What the recipient `address` asks for. Never fails: what is not understood is `ok`."""
    found = _LOCAL_PART.match(address)
    if found is None:
        return Recipient(address, OK, Step.DOT)
    name, digits, rest = found.groups()
    behaviour = BEHAVIOURS[name.lower()]
    number = int(digits[:9] or 0)
    if not rest:
        return Recipient(address, behaviour, _default_step(behaviour, number), number, behaviour.seconds)
    words = re.split(r"[-.]", rest.lower())
    step = next((_STEPS[word] for word in words if word in _STEPS), _default_step(behaviour, number))
    return Recipient(address, behaviour, step, number, _seconds(words, behaviour.seconds), _enhanced(words))


def _default_step(behaviour: Behaviour, number: int) -> Step:
    """4yz and 5yz are said at RCPT, 2yz and 3yz only make sense at the dot."""
    return Step.RCPT if behaviour.act is code and number >= 400 else behaviour.step


def _seconds(words: list[str], default: float) -> float:
    found = next(filter(None, map(_SECONDS.fullmatch, words)), None)
    return float(found[1]) / (1000.0 if found[2] == "ms" else 1.0) if found else default


def _enhanced(words: list[str]) -> str:
    digits = next((word[1:] for word in words if word[:1] == "e" and word[1:].isdigit()), "")
    return ".".join((digits[0], digits[1], digits[2:])) if len(digits) >= 3 else ""
