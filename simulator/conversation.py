"""SMTP as the servers of the small internet speak it (RFC 5321), one object per connection.

What is ordinary is here; what a host or a recipient does instead is in `hosts` and `behaviours`, and reaches
this object through a few verbs (`accept`, `say`, `answer`, `keep`, ...). Guarantees: a message is in the
oracle's log before anything is said about it, only CRLF ends lines and only CRLF.CRLF ends a body, and a
message over the host's size is counted but not stored.
"""

import re
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

from simulator import login, replies
from simulator.behaviours import OK, Behaviour, Recipient, Step, read
from simulator.hosts import GREETING, PROVIDERS, Host, Offer, ehlo, family_of
from simulator.received import Message, Session, entries, unstuffed
from simulator.wire import Wire
from simulator.world import World

MAX_LINE: Final = 8_192
MAX_RECIPIENTS: Final = 1_000
END: Final = b"\r\n.\r\n"
RELAYED: Final = Behaviour("relay", Step.DOT, OK.act)

_MAIL = re.compile(rb"MAIL FROM: ?<([^<>]*)>(?: (.*))?", re.IGNORECASE)
_RCPT = re.compile(rb"RCPT TO: ?<([^<>]+)>(?: .*)?", re.IGNORECASE)
_SIZE = re.compile(rb"(?:^| )SIZE=(\d{1,20})(?: |$)", re.IGNORECASE)


class Conversation(Wire):
    """One SMTP session. `host` is found by the address connected to, unless it is given."""

    def __init__(self, world: World, host: Host | None = None) -> None:
        super().__init__(world.loop)
        self.world = world
        self.delay = world.latency
        self.helo = ""
        self.tls = ""
        self.peer = ""
        self.authenticated = False
        self.weary = False
        """From now on every command gets 421."""
        self.step = Step.GREETING
        self.mail_from = ""
        self.message = Message("", (), b"", 0.0)
        """The last one whose dot arrived."""
        self._given_host = host
        self._open = False
        self._recipients: list[Recipient] = []
        self._expecting: Callable[[bytes], None] | None = None
        self._proceed: Callable[[], None] = _nothing
        self._body: bytearray | None = None
        self._in_wait: Recipient | None = None
        self._overflow = False
        self._drop_at = 0
        self._taken = 0

    # what a behaviour may do

    @property
    def positive(self) -> bytes:
        """The code of a good reply at this step."""
        return {Step.GREETING: b"220", Step.DATA: b"354"}.get(self.step, b"250")

    def accept(self) -> None:
        """Go on as if nothing were wrong."""
        self._proceed()

    def say(self, what: str, to: Recipient) -> None:
        """A reply in the words of the family that runs the recipient's domain."""
        domain = to.address.rpartition("@")[2].lower()
        family = family_of(domain) if domain in PROVIDERS else self.host.family
        sender = self.mail_from.rpartition("@")[2]
        peer = self.peer.partition(":")[0]
        self._reply(replies.words(what, family, peer=peer, rcpt=to.address, sender=sender), to)

    def answer(self, text: str, to: Recipient) -> None:
        """A reply of one line, in its own words."""
        self._reply(f"{text}\r\n".encode(), to)

    def keep(self, reply: int | None, then: Callable[[], None], seconds: float = 0.0) -> None:
        """Put `message` into the log; when it is durable call `then`, which says `reply` after `seconds`."""
        self.busy = True
        session = Session(self.host, self.helo, self.peer, self.tls)
        answer = None if reply is None else (reply, time.time() + seconds)
        digest = sha256(self.message.body).hexdigest()
        self.world.store(digest, self.message.body)
        self.world.journal.keep(entries(self.message, digest, session, answer), partial(self._kept, then))

    def drop_after(self, octets: int) -> None:
        """Close when so much of the body is here."""
        self._drop_at = octets

    async def secure(self, injected: bytes = b"") -> None:
        """STARTTLS: 220, handshake, and everything said before is forgotten (RFC 3207 §4.2)."""
        self.push(b"220 2.0.0 Ready to start TLS\r\n" + injected)
        if await self.upgrade(self.world.tls.of(self.host)):
            self._secured()

    # the session

    def greet(self) -> None:
        self.world.stats.connections += 1
        self.world.talking.add(self)
        self.peer = "{}:{}".format(*self.transport.get_extra_info("peername")[:2])
        self.host = self._given_host or self.world.host_at(self.transport.get_extra_info("sockname")[0])
        if self.transport.get_extra_info("ssl_object") is not None:
            self._secured()
        self._fault_or(
            GREETING, Step.GREETING, partial(self.push, f"220 {self.host.name} ESMTP\r\n".encode())
        )

    def connection_lost(self, _exc: Exception | None) -> None:
        super().connection_lost(_exc)
        self.world.talking.discard(self)

    def consume(self) -> bool:
        if self._body is not None:
            return self._take_body(self._body)
        line, crlf, rest = self.inbox.partition(b"\r\n")
        if not crlf:
            return self._wait_for_line()
        self.inbox = rest
        self._take_line(line)
        return True

    def _wait_for_line(self) -> bool:
        if len(self.inbox) > MAX_LINE:
            self.push(b"500 5.5.6 line too long\r\n")
            self.close()
        return False

    def _take_line(self, line: bytes) -> None:
        if self._expecting is not None:
            take, self._expecting = self._expecting, None
            take(line)
        elif self.weary:
            self.push(b"421 4.3.2 closing transmission channel\r\n")
            self.close()
        else:
            self._command(line)

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper() if line[4:5] in (b"", b" ") else line.partition(b" ")[0].upper()
        handle = VERBS.get(verb)
        if handle is None:
            self.push(b"500 5.5.2 command not recognised\r\n")
        elif self.host.fault:
            self._fault_or(verb, Step.VERB, partial(handle, self, line))
        else:
            handle(self, line)

    def _fault_or(self, verb: bytes, step: Step, ordinary: Callable[[], None]) -> None:
        if self.host.fault and self.host.fault[0] == verb:
            self._perform(read(self.host.fault[1]), step, ordinary)
        else:
            ordinary()

    def _perform(self, to: Recipient, step: Step, proceed: Callable[[], None]) -> None:
        self.step, self._proceed = step, proceed
        pending = to.behaviour.act(self, to)
        if pending is not None:
            self.run(pending)

    def _reply(self, reply: bytes, to: Recipient) -> None:
        self.push(reply)
        if reply.startswith(b"421"):
            self.close()
        elif reply.startswith(b"2") and self.step is Step.RCPT:
            self._recipients.append(to)

    def _secured(self) -> None:
        self.tls = self.transport.get_extra_info("ssl_object").version()
        self.helo = ""
        self._reset()

    def _reset(self) -> None:
        self._open = False
        self._overflow = False
        self._recipients = []
        self._body = None
        self._in_wait = None
        self._drop_at = 0

    def expect(self, take: Callable[[bytes], None]) -> None:
        """Give the next line to `take` instead of reading it as a command."""
        self._expecting = take

    # the verbs

    def _ehlo(self, line: bytes) -> None:
        self._hello(line, ehlo(self.host, secured=bool(self.tls)))

    def _helo(self, line: bytes) -> None:
        self._hello(line, f"250 {self.host.name}\r\n".encode())

    def _hello(self, line: bytes, reply: bytes) -> None:
        self.helo = line[5:].decode("utf-8", "replace").strip()
        self._reset()
        self.push(reply if self.helo else b"501 5.5.4 a name is needed\r\n")

    def _starttls(self, _line: bytes) -> None:
        if Offer.STARTTLS not in self.host.offers or self.tls:
            self.push(b"502 5.5.1 STARTTLS not available\r\n")
        else:
            self.run(self.secure())

    def _mail(self, line: bytes) -> None:
        found = _MAIL.fullmatch(line)
        refusal = self._too_early() or _bad_mail(found, self.host)
        if refusal or found is None:
            self.push(refusal)
            return
        self._open = True
        self.mail_from = found[1].decode("utf-8", "replace")
        self.push(b"250 2.1.0 OK\r\n")

    def _too_early(self) -> bytes:
        if not self.helo:
            return b"503 5.5.1 EHLO first\r\n"
        if self._open:
            return b"503 5.5.1 nested MAIL\r\n"
        if self.host.relay and not self.authenticated:
            return b"530 5.7.0 authentication required\r\n"
        return b""

    def _rcpt(self, line: bytes) -> None:
        found = _RCPT.fullmatch(line)
        if not self._open:
            self.push(b"503 5.5.1 MAIL first\r\n")
        elif found is None:
            self.push(b"501 5.5.4 RCPT TO:<address>\r\n")
        elif not found[1].isascii() and Offer.UTF8 not in self.host.offers:
            self.push(b"553 5.6.7 address not ASCII\r\n")
        elif len(self._recipients) >= MAX_RECIPIENTS:
            self.push(b"452 4.5.3 too many recipients\r\n")
        else:
            self._address(found[1].decode("utf-8", "replace"))

    def _address(self, address: str) -> None:
        to = Recipient(address, RELAYED, Step.DOT) if self.host.relay else self.world.recipient(address)
        if to.step is Step.RCPT:
            self._perform(to, Step.RCPT, partial(self._take_recipient, to))
        else:
            self._take_recipient(to)

    def _take_recipient(self, to: Recipient) -> None:
        self._recipients.append(to)
        self.push(b"250 2.1.5 OK\r\n")

    def _data(self, _line: bytes) -> None:
        if not self._recipients and not (self._open and self.host.eager):
            self.push(b"503 5.5.1 RCPT first\r\n")
            return
        to = self._deciding(Step.DATA)
        if to is None:
            self._go_ahead()
        else:
            self._perform(to, Step.DATA, self._go_ahead)

    def _go_ahead(self) -> None:
        self._body = bytearray(b"\r\n")
        self.push(b"354 go ahead\r\n")
        self._in_wait = self._deciding(Step.BODY)

    def _deciding(self, step: Step) -> Recipient | None:
        """The first recipient that does something out of the ordinary at `step`."""
        for to in self._recipients:
            if to.step is step and to.behaviour is not OK:
                return to
        return None

    def _noop(self, _line: bytes) -> None:
        self.push(b"250 2.0.0 OK\r\n")

    def _rset(self, _line: bytes) -> None:
        self._reset()
        self.push(b"250 2.0.0 OK\r\n")

    def _vrfy(self, _line: bytes) -> None:
        self.push(b"252 2.5.2 send some mail, I will try my best\r\n")

    def _quit(self, _line: bytes) -> None:
        self.push(b"221 2.0.0 closing connection\r\n")
        self.close()

    def _auth(self, line: bytes) -> None:
        if self.host.relay:
            login.auth(self, line)
        else:
            self.push(b"502 5.5.1 AUTH not available\r\n")

    # the body

    def _take_body(self, body: bytearray) -> bool:
        if self._in_wait is not None:
            to, self._in_wait = self._in_wait, None
            self._perform(to, Step.BODY, _nothing)
            return not self.busy
        searched = max(0, len(body) - len(END) + 1)
        body += self.inbox
        self.inbox = b""
        if self._drop_at and len(body) - 2 >= self._drop_at:
            self.close()
            return False
        end = body.find(END, searched)
        if end < 0:
            self._spill(body)
            return False
        self.inbox = bytes(body[end + len(END) :])
        self._dot(unstuffed(bytes(body[: end + 2])))
        return True

    def _spill(self, body: bytearray) -> None:
        if len(body) > self.host.size + 2:
            self._overflow = True
            del body[: -len(END)]

    def _dot(self, body: bytes) -> None:
        self.throttle(0)
        self.message = Message(self.mail_from, tuple(self._recipients), body, time.time())
        refusal = self._refused_body()
        to = self._deciding(Step.DOT)
        self._reset()
        if refusal:
            self.push(refusal)
        elif to is None:
            self.keep(250, self._thank)
        elif to.behaviour.keeps:
            self.keep(250 if to.behaviour.answers else None, partial(self._at_dot, to), to.seconds)
        else:
            self._at_dot(to)

    def _refused_body(self) -> bytes:
        if not self._recipients:
            self.world.stats.lone_dots += 1
            return b"554 5.5.1 no valid recipients\r\n"
        if self._overflow or len(self.message.body) > self.host.size:
            return b"552 5.3.4 message too big\r\n"
        if Offer.EIGHT_BIT not in self.host.offers and not self.message.body.isascii():
            return b"554 5.6.3 eight-bit data not supported\r\n"
        return b""

    def _at_dot(self, to: Recipient) -> None:
        self._perform(to, Step.DOT, self._thank)

    def _thank(self) -> None:
        self.step = Step.DOT
        self.say("accepted", self.message.recipients[0])

    def _kept(self, then: Callable[[], None], durable: bool) -> None:
        self.busy = self.closed
        self.world.stats.messages += 1
        self._taken += 1
        if durable:
            then()
        else:
            self.push(b"452 4.3.1 the log could not be written\r\n")
        if self._taken == self.host.quota:
            self.close()
        if not self.busy:
            self.pump()


def _nothing() -> None:
    """There is nothing to go on with."""


def _bad_mail(found: re.Match[bytes] | None, host: Host) -> bytes:
    """Why a MAIL command is refused; empty if it is not."""
    if found is None:
        return b"501 5.5.4 MAIL FROM:<address>\r\n"
    parameters = (found[2] or b"").upper()
    size = _SIZE.search(parameters)
    if size is not None and int(size[1]) > host.size:
        return b"552 5.3.4 message size exceeds fixed limit\r\n"
    if b"SMTPUTF8" in parameters and Offer.UTF8 not in host.offers:
        return b"555 5.5.4 SMTPUTF8 not supported\r\n"
    if b"BODY=8BITMIME" in parameters and Offer.EIGHT_BIT not in host.offers:
        return b"555 5.5.4 8BITMIME not supported\r\n"
    if not found[1].isascii() and Offer.UTF8 not in host.offers:
        return b"553 5.6.7 address not ASCII\r\n"
    return b""


VERBS: Final[dict[bytes, Callable[[Conversation, bytes], None]]] = {
    b"EHLO": Conversation._ehlo,
    b"HELO": Conversation._helo,
    b"STARTTLS": Conversation._starttls,
    b"AUTH": Conversation._auth,
    b"MAIL": Conversation._mail,
    b"RCPT": Conversation._rcpt,
    b"DATA": Conversation._data,
    b"RSET": Conversation._rset,
    b"NOOP": Conversation._noop,
    b"VRFY": Conversation._vrfy,
    b"QUIT": Conversation._quit,
}
