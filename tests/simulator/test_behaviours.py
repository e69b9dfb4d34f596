"""Every row of the behaviour table, met over a socket."""

import pytest

from simulator.behaviours import BEHAVIOURS, Step, read

REFUSED_AT_RCPT = [
    # local part, beginning of the last line of the reply
    ("nobody", b"550 5.1.1"),
    ("inactive", b"550 5.2.1"),
    ("full", b"452 4.2.2"),
    ("overquota", b"552 5.2.2"),
    ("grey", b"451 4.7.1"),
    ("block", b"550 5.7.1"),
    ("rate", b"421 4.7.28"),
    ("msslow", b"451 4.7.650"),
    ("msblock", b"550 5.7.1"),
    ("yahoodefer", b"421 4.7.0"),
    ("auth-rcpt", b"550 5.7.26"),
    ("code451", b"451 as"),
    ("code550-e517", b"550 5.1.7 as"),
    ("code450-e511", b"450 5.1.1 as"),
]

REFUSED_AT_THE_DOT = [
    ("auth", b"550 5.7.26"),
    ("msauth", b"550 5.7.515"),
    ("ratedkim", b"421 4.7.28"),
    ("nobody-dot", b"550 5.1.1"),
    ("full-dot", b"452 4.2.2"),
    ("grey-dot", b"451 4.7.1"),
    ("code554-dot", b"554 as"),
]

ACCEPTED = [
    # local part, code of the reply to the dot
    ("ok", b"250"),
    ("anybody.at.all", b"250"),
    ("okapi", b"250"),
    ("code250", b"250"),
    ("code251", b"251"),
    ("code252", b"252"),
    ("code299", b"299"),
    ("code354dot", b"354"),
    ("tworeplies", b"250"),
    ("rset421", b"250"),
    ("dropafter", b"250"),
    ("late-1ms", b"250"),
    ("late-rcpt-1ms", b"250"),
    ("late-data-1ms", b"250"),
    ("tarpit-1ms", b"250"),
    ("tarpit-dot-1ms", b"250"),
    ("slowread9000000", b"250"),
    ("bounce", b"250"),
    ("complain", b"250"),
]

HUNG_UP_AFTER_THE_DOT = [
    # local part, whether the oracle has the message
    ("dropdot", True),
    ("reset", True),
    ("silent-1ms", True),
    ("lostdot", False),
]

NAMES = sorted({read(row[0]).behaviour.name for row in REFUSED_AT_RCPT + REFUSED_AT_THE_DOT + ACCEPTED})


def last_line(reply):
    return reply.rstrip(b"\r\n").split(b"\n")[-1]


@pytest.mark.parametrize(("local_part", "expected"), REFUSED_AT_RCPT)
def test_a_recipient_is_refused_at_rcpt(internet, local_part, expected):
    peer = internet.dial()
    assert last_line(peer.envelope(f"{local_part}+at-rcpt@x.test")).startswith(expected)


@pytest.mark.parametrize(("local_part", "expected"), REFUSED_AT_THE_DOT)
def test_a_message_is_refused_after_the_dot_and_not_kept(internet, local_part, expected):
    message_id, content = internet.message()
    peer = internet.dial()
    assert peer.envelope(f"{local_part}+at-dot@x.test").startswith(b"250")
    assert peer.say("DATA").startswith(b"354")
    assert last_line(peer.body(content)).startswith(expected)
    assert internet.kept(message_id) == []


@pytest.mark.parametrize(("local_part", "code"), ACCEPTED)
def test_a_message_is_accepted_and_kept_once(internet, local_part, code):
    message_id, content = internet.message()
    peer = internet.dial()
    rcpt = f"{local_part}@x.test"
    assert peer.envelope(rcpt).startswith(b"250")
    assert peer.say("DATA").startswith(b"354")
    assert peer.body(content).startswith(code)
    (entry,) = internet.kept(message_id)
    assert (entry.rcpt, entry.reply) == (rcpt, int(code))
    assert entry.t_dot <= entry.t_reply


@pytest.mark.parametrize(("local_part", "kept"), HUNG_UP_AFTER_THE_DOT)
def test_no_reply_follows_the_dot(internet, local_part, kept):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope(f"{local_part}@x.test")
    peer.say("DATA")
    peer.sock.sendall(content + b".\r\n")
    assert peer.ended()
    entries = internet.kept(message_id)
    assert [(entry.reply, entry.t_reply) for entry in entries] == [(None, None)] * kept


def test_a_grey_recipient_is_accepted_when_the_same_pair_comes_again(internet):
    message_id, content = internet.message()
    rcpt = f"grey+{message_id[1:-11]}@x.test"
    assert internet.dial().envelope(rcpt).startswith(b"451")
    assert internet.dial().envelope(rcpt, mail_from="another@rp.acme.test").startswith(b"451")
    peer = internet.dial()
    assert peer.envelope(rcpt).startswith(b"250")
    peer.say("DATA")
    assert peer.body(content).startswith(b"250")
    assert internet.kept(message_id)[0].behaviour == "grey"


def test_a_grey_message_is_kept_when_its_dot_comes_again(internet):
    message_id, content = internet.message()
    rcpt = f"grey-dot+{message_id[1:-11]}@x.test"
    for expected, kept in ((b"451", 0), (b"250", 1)):
        peer = internet.dial()
        peer.envelope(rcpt)
        peer.say("DATA")
        assert peer.body(content).startswith(expected)
        assert len(internet.kept(message_id)) == kept


@pytest.mark.parametrize("local_part", ["rate", "code421", "yahoodefer"])
def test_421_closes_the_channel(internet, local_part):
    peer = internet.dial()
    assert peer.envelope(f"{local_part}@x.test").startswith(b"421")
    assert peer.ended()


def test_after_rset421_the_next_command_is_refused(internet):
    _, content = internet.message()
    peer = internet.dial()
    peer.envelope("rset421@x.test")
    peer.say("DATA")
    assert peer.body(content).startswith(b"250")
    assert peer.say("RSET").startswith(b"421")
    assert peer.ended()


def test_two_replies_arrive_for_one_dot(internet):
    _, content = internet.message()
    peer = internet.dial()
    peer.envelope("tworeplies@x.test")
    peer.say("DATA")
    assert peer.body(content).startswith(b"250")
    assert peer.reply().startswith(b"250")


def test_drop354_hangs_up_instead_of_354(internet):
    peer = internet.dial()
    assert peer.envelope("drop354@x.test").startswith(b"250")
    assert peer.say("DATA") == b""


def test_dropbody_hangs_up_once_it_has_seen_enough(internet):
    peer = internet.dial()
    peer.envelope("dropbody2000@x.test")
    assert peer.say("DATA").startswith(b"354")
    peer.sock.sendall(b"x" * 1_998 + b"\r\n")
    assert peer.ended()


def test_dropbody_hangs_up_at_the_first_octet(internet):
    peer = internet.dial()
    peer.envelope("dropbody@x.test")
    peer.say("DATA")
    peer.sock.sendall(b"x")
    assert peer.ended()


def test_reset_in_the_body_is_an_rst(internet):
    peer = internet.dial()
    peer.envelope("reset-body@x.test")
    assert peer.say("DATA").startswith(b"354")
    peer.sock.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        peer.sock.recv(1)


def test_garbage_is_not_a_reply(internet):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("garbage@x.test")
    peer.say("DATA")
    peer.sock.sendall(content + b".\r\n")
    assert peer.sock.recv(4).startswith(b"\x00\xff")
    assert internet.kept(message_id)[0].reply is None


def test_an_endless_reply_goes_on_as_long_as_it_is_read(internet):
    peer = internet.dial()
    peer.say("EHLO sender")
    peer.say("MAIL FROM:<a@acme.test>")
    peer.sock.sendall(b"RCPT TO:<endless@x.test>\r\n")
    got = b""
    while len(got) < 1_000_000:
        got += peer.sock.recv(65_536)
    assert all(line.startswith(b"250-") for line in got.split(b"\r\n")[:-1])


def test_a_long_line_has_no_end(internet):
    peer = internet.dial()
    peer.say("EHLO sender")
    peer.say("MAIL FROM:<a@acme.test>")
    peer.sock.sendall(b"RCPT TO:<longline@x.test>\r\n")
    got = b""
    while len(got) < 9_004:
        got += peer.sock.recv(65_536)
    assert got == b"250 " + b"x" * 9_000


def test_a_tarpit_says_one_byte_at_a_time(internet):
    peer = internet.dial()
    peer.say("EHLO sender")
    peer.say("MAIL FROM:<a@acme.test>")
    peer.sock.sendall(b"RCPT TO:<tarpit@x.test>\r\n")
    assert peer.sock.recv(100) == b"2"


def test_a_stalled_body_closes_the_window(internet):
    peer = internet.dial()
    peer.envelope("stall@x.test")
    peer.say("DATA")
    peer.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.sock.sendall(b"x" * 30_000_000)


def test_a_stalled_connection_ends_when_its_peer_is_gone(internet):
    peer = internet.dial()
    peer.envelope("stall@x.test")
    peer.say("DATA")
    port = peer.sock.getsockname()[1]
    peer.sock.sendall(b"x" * 1_000)
    assert internet.talks_to(port)
    peer.sock.close()
    assert internet.stops_talking_to(port)


def test_a_slow_reader_takes_the_whole_message(internet):
    message_id, content = internet.message()
    content += b"x" * 70 + b"\r\n"
    content *= 1_000
    peer = internet.dial()
    peer.envelope("slowread900000@x.test")
    peer.say("DATA")
    assert peer.body(content).startswith(b"250")
    assert internet.kept(message_id)[0].size == len(content)


READINGS = [
    # address, behaviour, step, number, seconds, enhanced
    ("nobody@x", "nobody", Step.RCPT, 0, 0.0, ""),
    ("NoBody-17@x", "nobody", Step.RCPT, 0, 0.0, ""),  # case and what is not understood do not matter
    ("nobody-dot@x", "nobody", Step.DOT, 0, 0.0, ""),
    ("nobody+dot@x", "nobody", Step.RCPT, 0, 0.0, ""),  # after a plus all is ignored
    ("author@x", "ok", Step.DOT, 0, 0.0, ""),  # a name ends before a letter only if it is no name
    ("dropdot@x", "dropdot", Step.DOT, 0, 0.0, ""),  # the longest name wins over drop
    ("drop-data@x", "drop", Step.DATA, 0, 0.0, ""),
    ("late@x", "late", Step.DOT, 0, 5.0, ""),
    ("late-3s@x", "late", Step.DOT, 0, 3.0, ""),
    ("late-rcpt-250ms.x@x", "late", Step.RCPT, 0, 0.25, ""),
    ("code251@x", "code", Step.DOT, 251, 0.0, ""),
    ("code354dot@x", "code", Step.DOT, 354, 0.0, ""),
    ("code550-e5715@x", "code", Step.RCPT, 550, 0.0, "5.7.15"),
    ("slowread2000@x", "slowread", Step.BODY, 2000, 0.0, ""),
    ("@", "ok", Step.DOT, 0, 0.0, ""),
    ("", "ok", Step.DOT, 0, 0.0, ""),
]


@pytest.mark.parametrize(("address", "name", "step", "number", "seconds", "enhanced"), READINGS)
def test_a_local_part_is_read_as_documented(address, name, step, number, seconds, enhanced):
    to = read(address)
    assert (to.behaviour.name, to.step, to.number, to.seconds, to.enhanced) == (
        name,
        step,
        number,
        seconds,
        enhanced,
    )


def test_no_row_of_the_table_is_left_untested():
    elsewhere = {"drop", "drop354", "dropbody", "dropdot", "lostdot", "reset", "silent", "stall"}
    at_hosts = {"badtls", "injecttls"}
    sockets = {"endless", "longline", "garbage"}
    assert set(NAMES) | elsewhere | at_hosts | sockets == set(BEHAVIOURS)
