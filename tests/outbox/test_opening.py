"""Sessions: TLS of every kind, logins, old servers."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest

from outbox.delivery import Limits, Security, SmtpTransport, Timeouts, clock
from outbox.outcomes import Fault, Phase, Reply
from simulator.certificates import contexts, issue
from tests.outbox.scripted import (
    CONTENT,
    DROP,
    SHORT,
    Server,
    Session,
    cleared,
    deliver,
    direct,
    envelope,
    on_both_loops,
    relay,
    stop_reading,
    transport,
)


@on_both_loops
async def test_a_server_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    server = Server(EHLO=b"502 5.5.1 what?\r\n")
    assert (await deliver(server)).code == 250
    assert server.sessions[0].words[:3] == ["EHLO", "HELO", "MAIL"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return contexts(tmp_path_factory.mktemp("certificates"), dt.datetime.now(dt.UTC))


TLS = {
    "STARTTLS": b"220 2.0.0 go\r\n",
    "EHLO": b"250-x\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n",
}


@on_both_loops
async def test_to_an_exchanger_tls_is_used_and_not_verified(certificates: Any) -> None:
    server = Server(tls=certificates.exchangers, **TLS)
    reply = await deliver(server)
    assert (reply.code, reply.tls) == (250, "TLSv1.3")
    assert server.sessions[0].words[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


@on_both_loops
async def test_a_large_body_over_tls_is_cleared_only_when_acknowledged_below_it(certificates: Any) -> None:
    asked: list[float] = []

    async def clear() -> float:
        asked.append(clock())
        return clock() + 5

    server = Server(tls=certificates.exchangers, DATA=stop_reading, **TLS)
    content = CONTENT + (b"z" * 98 + b"\r\n") * 100_000
    async with server.listening(receive_buffer=4096), transport(timeouts=Timeouts(block=SHORT)) as out:
        reply = await out.deliver(envelope(content=content), direct(server.port), clear)
    assert (reply.phase, reply.fault, asked) == (Phase.BODY, Fault.TIMEOUT, [])


async def _broken_handshake(session: Session) -> bytes:
    session.writer.write(b"220 go\r\nthis is not TLS\r\n" * 20)
    return b""


@pytest.mark.parametrize(
    "starttls",
    [_broken_handshake, b"454 4.7.0 no certificate today\r\n", (b"220 go\r\n", DROP), DROP],
    ids=["garbage", "454", "drop after 220", "drop"],
)
@on_both_loops
async def test_where_opportunistic_tls_fails_plain_is_spoken_and_remembered(starttls: Any) -> None:
    server = Server(**{**TLS, "STARTTLS": starttls})
    async with server.listening(), transport(limits=Limits(per_connection=1)) as out:
        replies = [await out.deliver(envelope(), direct(server.port), cleared) for _ in range(2)]
    assert [(reply.code, reply.tls) for reply in replies] == [(250, ""), (250, "")]
    tried = ["STARTTLS" in session.words for session in server.sessions]
    assert tried == [True, False, False]


@on_both_loops
async def test_plaintext_injected_behind_the_220_is_not_read_as_part_of_the_session(
    certificates: Any,
) -> None:
    server = Server(
        tls=certificates.exchangers, **{**TLS, "STARTTLS": b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n"}
    )
    reply = await deliver(server)
    # either the handshake fails and plain is spoken, or what was injected is discarded: never is it believed
    assert reply.code == 250
    assert all("AUTH" not in session.words for session in server.sessions)


BAD_RELAYS = [
    # route security, the certificate's name, server offers TLS, expected phase and fault
    (Security.STARTTLS, "wrong.test", True, Phase.STARTTLS, Fault.TLS),
    (Security.STARTTLS, "localhost", False, Phase.STARTTLS, Fault.TLS_MISSING),
    (Security.OPPORTUNISTIC, "localhost", False, Phase.AUTH, Fault.TLS_MISSING),
]


@pytest.mark.parametrize(("security", "name", "offers", "phase", "fault"), BAD_RELAYS)
@on_both_loops
async def test_a_relay_that_cannot_prove_itself_gets_neither_password_nor_mail(
    tmp_path: Path, security: Security, name: str, offers: bool, phase: Phase, fault: Fault
) -> None:
    context, ca_file = _certified(tmp_path, name, dt.datetime.now(dt.UTC))
    server = Server(tls=context, **(TLS if offers else {}))
    login = {"username": "u", "password": "p"}
    async with server.listening(), transport() as out:
        route = relay(server.port, host="localhost", security=security, ca_file=ca_file, **login)
        reply = await _through(out, route)
    assert (reply.phase, reply.fault) == (phase, fault)
    assert not {"AUTH", "MAIL"} & {word for session in server.sessions for word in session.words}


def _certified(folder: Path, name: str, now: dt.datetime) -> tuple[ssl.SSLContext, str]:
    """A server's context with a self-signed certificate, and the file which makes it trusted."""
    chain = folder / "chain.pem"
    chain.write_bytes(issue(name, (name,), now, None).pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, str(chain)


@on_both_loops
async def test_an_expired_certificate_is_refused_by_a_relay_route(tmp_path: Path) -> None:
    context, ca_file = _certified(tmp_path, "localhost", dt.datetime.now(dt.UTC) - dt.timedelta(days=1000))
    server = Server(tls=context, **TLS)
    async with server.listening(), transport() as out:
        route = relay(server.port, host="localhost", security=Security.STARTTLS, ca_file=ca_file)
        reply = await _through(out, route)
    assert (reply.phase, reply.fault) == (Phase.STARTTLS, Fault.TLS)
    assert "expired" in reply.text


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@on_both_loops
async def test_a_verified_relay_gets_login_and_mail(certificates: Any, security: Security) -> None:
    server = Server(tls=certificates.relay, implicit=security is Security.IMPLICIT, **TLS)
    async with server.listening(), transport() as out:
        route = relay(
            server.port, security=security, ca_file=str(certificates.ca_file), username="u", password="secret"
        )
        replies = [await _through(out, route) for _ in range(2)]
    assert [(reply.code, reply.tls) for reply in replies] == [(250, "TLSv1.3 verified")] * 2
    assert len(server.sessions) == 1
    assert server.sessions[0].words.count("AUTH") == 1
    assert "secret" not in repr(route)


@on_both_loops
async def test_a_refused_login_keeps_its_code() -> None:
    server = Server(EHLO=b"250-x\r\n250 AUTH PLAIN\r\n", AUTH=b"535 5.7.8 wrong\r\n")
    async with server.listening(), transport() as out:
        reply = await _through(out, relay(server.port, username="u", password="p"))
    assert (reply.phase, reply.code, reply.enhanced) == (Phase.AUTH, 535, "5.7.8")


async def _through(out: SmtpTransport, route: Any) -> Reply:
    return await out.deliver(envelope(), route, cleared)
