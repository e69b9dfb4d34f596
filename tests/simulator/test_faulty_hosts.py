"""Hosts by address: what they offer, what goes wrong before a recipient is known, how they talk TLS."""

import socket
import ssl

import pytest

from simulator import hosts
from simulator.hosts import FAULTS, GREETING, Offer

ADDRESSES = {name: hosts.BY_NAME[f"mx.{name}.test"].address for name in (*FAULTS, *hosts.VARIANTS)}

NO_CHECK = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NO_CHECK.check_hostname = False
NO_CHECK.verify_mode = ssl.CERT_NONE

COMMANDS = {
    b"EHLO": [],
    b"STARTTLS": ["EHLO s"],
    b"MAIL": ["EHLO s"],
    b"RCPT": ["EHLO s", "MAIL FROM:<a@acme.test>"],
    b"DATA": ["EHLO s", "MAIL FROM:<a@acme.test>", "RCPT TO:<ok@x.test>"],
    b"RSET": ["EHLO s"],
    b"QUIT": ["EHLO s"],
}
LINES = {b"EHLO": "EHLO s", b"MAIL": "MAIL FROM:<a@acme.test>", b"RCPT": "RCPT TO:<ok@x.test>"}

WRONG_VERBS = [(name, verb, fault) for name, (verb, fault) in FAULTS.items() if verb != GREETING]


def first_bytes(peer, count=3):
    try:
        return peer.sock.recv(count)
    except ConnectionResetError:
        return b""


BANNERS = [
    ("banner554", b"554"),
    ("banner421", b"421"),
    ("bannerdrop", b""),
    ("bannergarbage", b"\x00\xff\x1b"),
    ("bannerendless", b"220"),
    ("bannerlong", b"220"),
    ("bannerdrip", b"2"),
    ("notls", b"220"),
]


@pytest.mark.parametrize(("name", "expected"), BANNERS)
def test_a_banner_is_as_wrong_as_its_host(internet, name, expected):
    assert first_bytes(internet.dial(ADDRESSES[name], banner=False)) == expected


def test_a_host_resets_instead_of_a_banner(internet):
    with pytest.raises(ConnectionResetError):  # the connect itself may be the one to notice
        internet.dial(ADDRESSES["bannerreset"])


def test_a_host_without_banner_says_nothing(internet):
    peer = internet.dial(ADDRESSES["bannernone"], banner=False)
    peer.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        peer.sock.recv(1)


@pytest.mark.parametrize(("name", "verb", "fault"), WRONG_VERBS)
def test_a_verb_is_answered_as_wrongly_as_the_table_says(internet, name, verb, fault):
    peer = internet.dial(ADDRESSES[name])
    for line in COMMANDS[verb]:
        assert peer.say(line)[:1] == b"2"
    peer.sock.sendall(LINES.get(verb, verb.decode()).encode() + b"\r\n")
    expected = {"drop": b"", "endless": b"250", "badtls": b"220", "injecttls": b"220"}
    assert first_bytes(peer) == expected.get(fault, fault.removeprefix("code").encode())


def test_helo_still_works_where_ehlo_does_not(internet):
    peer = internet.dial(ADDRESSES["ehlo502"])
    assert peer.say("EHLO s").startswith(b"502")
    assert peer.say("HELO s").startswith(b"250")
    assert peer.say("MAIL FROM:<a@acme.test>").startswith(b"250")


MISSING = [
    ("notls", {Offer.STARTTLS}),
    ("nopipe", {Offer.PIPELINING}),
    ("noutf8", {Offer.UTF8, Offer.EIGHT_BIT}),
    ("nosize", {Offer.SIZE}),
    ("nodsn", {Offer.DSN}),
    ("bare", set(Offer)),
    ("quota", set()),
]


@pytest.mark.parametrize(("name", "missing"), MISSING)
def test_a_host_offers_all_but_what_it_lacks(internet, name, missing):
    offered = internet.dial(ADDRESSES[name]).say("EHLO s")
    assert {offer for offer in Offer if offer.value.encode() not in offered} == missing


REFUSED_FOR_LACK = [
    ("noutf8", "MAIL FROM:<a@acme.test> SMTPUTF8", b"555"),
    ("noutf8", "MAIL FROM:<a@acme.test> BODY=8BITMIME", b"555"),
    ("noutf8", "MAIL FROM:<ä@acme.test>", b"553 5.6.7"),
    ("smallsize", "MAIL FROM:<a@acme.test> SIZE=10001", b"552 5.3.4"),
    ("smallsize", "MAIL FROM:<a@acme.test> SIZE=10000", b"250"),
    ("other", "MAIL FROM:<ä@acme.test> SMTPUTF8 BODY=8BITMIME SIZE=1", b"250"),
]


@pytest.mark.parametrize(("name", "line", "expected"), REFUSED_FOR_LACK)
def test_what_a_host_does_not_offer_it_refuses(internet, name, line, expected):
    peer = internet.dial(ADDRESSES.get(name, "127.0.0.1"))
    peer.say("EHLO s")
    assert peer.say(line).startswith(expected)


def test_eight_bit_bodies_are_refused_where_they_are_not_offered(internet):
    message_id, content = internet.message()
    peer = internet.dial(ADDRESSES["noutf8"])
    peer.envelope("ok@noutf8.test")
    peer.say("DATA")
    assert peer.body(content + b"\xc3\xa4\r\n").startswith(b"554 5.6.3")
    assert internet.kept(message_id) == []


def test_a_message_over_the_size_is_refused_after_the_dot(internet):
    message_id, content = internet.message()
    peer = internet.dial(ADDRESSES["smallsize"])
    peer.envelope("ok@smallsize.test")
    peer.say("DATA")
    assert peer.body(content + (b"x" * 98 + b"\r\n") * 1_000).startswith(b"552 5.3.4")
    assert internet.kept(message_id) == []
    assert peer.say("NOOP").startswith(b"250")


def test_a_host_with_a_quota_hangs_up_after_it(internet):
    peer = internet.dial(ADDRESSES["quota"])
    assert peer.say("EHLO s").startswith(b"250")
    for _ in range(3):
        _, content = internet.message()
        peer.say("MAIL FROM:<a@acme.test>")
        peer.say("RCPT TO:<ok@quota.test>")
        peer.say("DATA")
        assert peer.body(content).startswith(b"250")
    assert peer.ended()


def test_an_eager_host_gives_354_without_a_recipient_and_counts_the_lone_dot(internet):
    before = internet.sim.world.stats.lone_dots
    peer = internet.dial(ADDRESSES["eager"])
    assert peer.envelope("nobody@eager.test").startswith(b"550")
    assert peer.say("DATA").startswith(b"354")
    assert peer.body(b"").startswith(b"554")
    assert internet.sim.world.stats.lone_dots == before + 1


def test_a_tiny_window_stalls_a_small_body(internet):
    peer = internet.dial(ADDRESSES["stall"])
    peer.envelope("stall@stall.test")
    peer.say("DATA")
    peer.sock.sendall(b"x")
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    peer.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.sock.sendall(b"x" * 40_000)


def test_nobody_listens_where_connections_are_refused(internet):
    with pytest.raises(ConnectionRefusedError):
        internet.dial(hosts.REFUSING)


def test_a_black_hole_swallows_connections(internet):
    with socket.socket() as sock:
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.connect((hosts.BLACKHOLE, internet.sim.smtp_port))


def test_starttls_works_and_is_logged(internet):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.say("EHLO s")
    peer.secure(NO_CHECK)
    assert b"STARTTLS" not in peer.say("EHLO s")
    peer.envelope("ok@x.test")
    peer.say("DATA")
    peer.body(content)
    assert internet.kept(message_id)[0].tls == "TLSv1.3"


def test_after_starttls_the_server_has_forgotten_who_spoke(internet):
    peer = internet.dial()
    peer.say("EHLO s")
    peer.secure(NO_CHECK)
    assert peer.say("MAIL FROM:<a@acme.test>").startswith(b"503")


def test_commands_smuggled_in_before_the_handshake_are_not_obeyed(internet):
    peer = internet.dial()
    peer.say("EHLO s")
    peer.sock.sendall(b"STARTTLS\r\nEHLO attacker\r\nMAIL FROM:<a@acme.test>\r\n")
    assert peer.reply().startswith(b"220")
    peer.sock = NO_CHECK.wrap_socket(peer.sock)
    assert peer.say("RCPT TO:<ok@x.test>").startswith(b"503")


def test_badtls_fails_the_handshake(internet):
    peer = internet.dial(ADDRESSES["badtls"])
    peer.say("EHLO s")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        peer.secure(NO_CHECK)


def test_injecttls_says_more_than_220_before_the_handshake(internet):
    peer = internet.dial(ADDRESSES["injecttls"])
    peer.say("EHLO s")
    peer.sock.sendall(b"STARTTLS\r\n")
    assert peer.reply().startswith(b"220")
    assert peer.reply() == b"250 2.0.0 injected\r\n"
    peer.sock = NO_CHECK.wrap_socket(peer.sock)
    assert peer.say("EHLO s").startswith(b"250")


def test_every_host_has_an_address_and_a_name_of_its_own():
    assert len(hosts.BY_ADDRESS) == len(hosts.BY_NAME) == len(hosts.HOSTS)
    assert hosts.REFUSING not in hosts.BY_ADDRESS
    assert hosts.BLACKHOLE not in hosts.BY_ADDRESS
    assert max(int(address.rpartition(".")[2]) for address in hosts.BY_ADDRESS) < 255


FAMILY_WORDS = [
    # the recipient's domain chooses the words, whichever host says them
    ("nobody@gmail.test", b"p=NoSuchUser - gsmtp"),
    ("nobody@outlook.test", b"mailbox unavailable"),
    ("nobody@m365.test", b"RESOLVER.ADR.RecipNotFound"),
    ("nobody@yahoo.test", b"doesn't have a yahoo.com account"),
    ("nobody@corp.test", b"User unknown in local recipient table"),
    ("block@outlook.test", b"(AS3130)"),
    ("block@other.test", b"zen.spamhaus.org"),
]


@pytest.mark.parametrize(("rcpt", "words"), FAMILY_WORDS)
def test_a_refusal_is_in_the_words_of_the_recipients_provider(internet, rcpt, words):
    assert words in internet.dial().envelope(rcpt)


def test_the_log_names_the_host_that_was_spoken_to(internet):
    message_id, content = internet.message()
    peer = internet.dial(hosts.BY_NAME["mta6.am0.yahoodns.net.test"].address)
    peer.envelope("ok@yahoo.test")
    peer.say("DATA")
    assert peer.body(content).startswith(b"250 ok dirdel")
    (entry,) = internet.kept(message_id)
    assert (entry.provider, entry.mx) == ("yahoo", "mta6.am0.yahoodns.net.test")
