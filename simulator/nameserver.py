"""The authoritative DNS server over `names`: UDP and TCP, dnspython for the messages only.

Guarantees: every well-formed question is answered with AA set, NXDOMAIN and NODATA carry a SOA (RFC 2308 §3),
and an answer that does not fit a datagram is truncated and repeated over TCP. What does not parse is not
answered.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from simulator.names import SOA, Answer, Names, Rcode

TTL: Final = 60
UDP_SIZE: Final = 1_232
TCP_IDLE_SECONDS: Final = 10.0


def rdata(kind: str, text: str) -> dns.rdata.Rdata:
    """One record; a TXT is given as plain text and cut into strings of 255 octets (RFC 1035 §3.3.14)."""
    if kind == "TXT":
        octets = text.encode()
        strings = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
        return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), text)


def respond(query: dns.message.Message, answer: Answer) -> dns.message.Message:
    """The message that gives `answer` to `query`."""
    response = dns.message.make_response(query, recursion_available=False)
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.from_text(answer.rcode))
    for owner, records in answer.chain:
        name = dns.name.from_text(owner)
        for kind, text in records:
            item = rdata(kind, text)
            rrset = response.find_rrset(response.answer, name, item.rdclass, item.rdtype, create=True)
            rrset.add(item, TTL)
    if not answer.chain and answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
        apex = dns.name.from_text(".".join(query.question[0].name.to_text().rstrip(".").split(".")[-2:]))
        response.authority.append(dns.rrset.from_text(apex, TTL, "IN", "SOA", SOA))
    return response


def question(query: dns.message.Message) -> tuple[str, str]:
    """Name (lower-case, no final dot) and type asked for."""
    asked = query.question[0]
    return asked.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(asked.rdtype)


class NameServer:
    """Parses, looks up, and hands wire bytes to `send`, at once or after the answer's delay."""

    def __init__(self, names: Names, loop: asyncio.AbstractEventLoop) -> None:
        self._names = names
        self._loop = loop
        self.queries = 0

    def handle(self, wire: bytes, send: Callable[[bytes], None], *, udp: bool) -> None:
        """Answer one query. A SILENCE answer and an unparsable query send nothing."""
        try:
            query = dns.message.from_wire(wire)
            name, rdtype = question(query)
        except (dns.exception.DNSException, IndexError):
            return
        self.queries += 1
        answer = self._names.answer(name, rdtype)
        if answer.rcode is Rcode.SILENCE:
            return
        reply = encode(query, answer, udp=udp)
        if answer.delay:
            self._loop.call_later(answer.delay, send, reply)
        else:
            send(reply)


def encode(query: dns.message.Message, answer: Answer, *, udp: bool) -> bytes:
    """Wire bytes; over UDP cut to what the client said it takes (RFC 6891 §6.2.3, else 512)."""
    response = respond(query, answer)
    if not udp:
        return response.to_wire(max_size=65_535)
    limit = min(query.payload, UDP_SIZE) if query.edns >= 0 else 512
    try:
        if not answer.truncate:
            return response.to_wire(max_size=max(limit, 512))
    except dns.exception.TooBig:
        pass
    return truncated(response).to_wire()


def truncated(response: dns.message.Message) -> dns.message.Message:
    """The same response, emptied and with TC set (RFC 2181 §9)."""
    response.answer.clear()
    response.authority.clear()
    response.flags |= dns.flags.TC
    return response


class UdpPort(asyncio.DatagramProtocol):
    """Datagrams in, datagrams out."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # always a datagram transport here

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def send(wire: bytes) -> None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(wire, addr)

        self._server.handle(data, send, udp=True)


class TcpPort(asyncio.Protocol):
    """Two octets of length, then the message, as often as the client likes (RFC 7766 §6.2.1)."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._inbox = b""
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # always a stream transport here
        self._idle = asyncio.get_running_loop().call_later(TCP_IDLE_SECONDS, transport.close)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        while len(self._inbox) >= 2:
            (length,) = struct.unpack_from("!H", self._inbox)
            if len(self._inbox) < 2 + length:
                return
            wire, self._inbox = self._inbox[2 : 2 + length], self._inbox[2 + length :]
            self._server.handle(wire, self._send, udp=False)

    def _send(self, wire: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(struct.pack("!H", len(wire)) + wire)
