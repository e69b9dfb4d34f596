"""The log: on disk before the 250, one line per recipient, readable whatever happened to its writer."""

import asyncio
import hashlib
import os

import pytest

from simulator import oracle
from simulator.journal import Journal
from simulator.received import headers, unstuffed


def test_the_reply_waits_for_the_fsync(internet, monkeypatch):
    seen = []
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    real = os.fsync

    def fsync(fd):
        seen.append(("written", len(internet.kept(message_id))))
        peer.sock.setblocking(False)
        try:
            seen.append(("replied", peer.sock.recv(1)))
        except BlockingIOError:
            seen.append(("silent", None))
        finally:
            peer.sock.settimeout(10.0)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert peer.body(content).startswith(b"250")
    assert seen == [("written", 1), ("silent", None)]


def test_one_fsync_serves_all_that_wait(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)

    async def keep_many():
        loop = asyncio.get_running_loop()
        journal = Journal(tmp_path / "log", loop, fsync=True)
        done = [loop.create_future() for _ in range(100)]
        for n, future in enumerate(done):
            journal.keep(b"%d\n" % n, future.set_result)
        assert await asyncio.gather(*done) == [True] * 100
        journal.close()

    asyncio.run(keep_many())
    assert len(calls) == 1
    assert (tmp_path / "log").read_text() == "".join(f"{n}\n" for n in range(100))


def test_without_fsync_the_line_is_still_written_before_anybody_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _fd: pytest.fail("no fsync was wanted"))

    async def keep_one():
        loop = asyncio.get_running_loop()
        journal = Journal(tmp_path / "log", loop, fsync=False)
        told = loop.create_future()
        journal.keep(b"line\n", lambda _: told.set_result((tmp_path / "log").read_bytes()))
        assert await told == b"line\n"
        journal.close()

    asyncio.run(keep_one())


def test_a_full_disk_is_452_and_not_250(internet, monkeypatch, capfd):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "commit", full)
    assert peer.body(content).startswith(b"452 4.3.1")
    monkeypatch.undo()
    assert internet.kept(message_id) == []
    assert "No space left" in capfd.readouterr().err


def test_each_recipient_has_a_line_of_its_own(internet):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    assert peer.say("RCPT TO:<nobody@x.test>").startswith(b"550")
    assert peer.say("RCPT TO:<any+two@x.test>").startswith(b"250")
    peer.say("DATA")
    peer.body(content)
    entries = internet.kept(message_id)
    assert [entry.rcpt for entry in entries] == ["ok@x.test", "any+two@x.test"]
    assert {entry.delivery_ref for entry in entries} == {"ref"}
    assert {entry.helo for entry in entries} == {"sender.acme.test"}
    assert {entry.mail_from for entry in entries} == {"b+token@rp.agents.acme.test"}


BODIES = [
    # what stands on the wire between 354 and the dot, what was meant
    (b"", b""),
    (b"one\r\n", b"one\r\n"),
    (b"..\r\n", b".\r\n"),
    (b"..one\r\n...two\r\n", b".one\r\n..two\r\n"),
    (b"a\n.\nb\r\n", b"a\n.\nb\r\n"),  # only CRLF.CRLF is the end: nothing is smuggled in
    (b"a\r.\rb\r\n", b"a\r.\rb\r\n"),
    (b"a\r\n.\rb\r\n", b"a\r\n\rb\r\n"),
    (b"x.\r\n", b"x.\r\n"),
]


@pytest.mark.parametrize(("wire", "meant"), BODIES)
def test_the_digest_is_of_what_was_meant(internet, wire, meant):
    message_id, head = internet.message()
    head = head.replace(b"line one\r\n", b"")
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    assert peer.body(head + wire).startswith(b"250")
    (entry,) = internet.kept(message_id)
    assert entry.sha256 == hashlib.sha256(head + meant).hexdigest()
    assert entry.size == len(head + meant)
    assert (internet.sim.config.keep / entry.sha256).read_bytes() == head + meant


def test_a_body_may_arrive_in_any_pieces(internet):
    message_id, content = internet.message()
    content += b"..stuffed\r\n"
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    for octet in content + b".\r\n":
        peer.sock.sendall(bytes((octet,)))
    assert peer.reply().startswith(b"250")
    assert internet.kept(message_id)[0].sha256 == hashlib.sha256(unstuffed(b"\r\n" + content)).hexdigest()


def test_commands_behind_the_dot_are_answered_in_order(internet):
    first, one = internet.message()
    second, two = internet.message()
    envelope = b"MAIL FROM:<a@acme.test>\r\nRCPT TO:<%s@x.test>\r\nDATA\r\n"
    peer = internet.dial()
    peer.say("EHLO s")
    peer.sock.sendall(envelope % b"late-20ms" + one + b".\r\n" + envelope % b"nobody" + b"RSET\r\n")
    replies = [peer.reply()[:3] for _ in range(8)]
    assert replies == [b"250", b"250", b"354", b"250", b"250", b"550", b"503", b"250"]
    peer.sock.sendall(envelope % b"ok" + two + b".\r\nQUIT\r\n")
    assert [peer.reply()[:3] for _ in range(5)] == [b"250", b"250", b"354", b"250", b"221"]
    assert len(internet.kept(first)) == len(internet.kept(second)) == 1


def test_a_dot_that_arrived_counts_even_if_its_sender_is_gone(internet):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    port = peer.sock.getsockname()[1]
    peer.sock.sendall(content + b".\r\n")
    peer.sock.close()
    assert internet.stops_talking_to(port)
    assert len(internet.kept(message_id)) == 1


def test_a_body_without_its_dot_is_not_kept(internet):
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    port = peer.sock.getsockname()[1]
    peer.sock.sendall(content + b".\r")
    peer.sock.close()
    assert internet.stops_talking_to(port)
    assert internet.kept(message_id) == []


HEADERS = [
    (b"Message-ID: <a@b>\r\n\r\n", "<a@b>"),
    (b"message-id:<a@b>\r\nX: y\r\n\r\n", "<a@b>"),
    (b"X: y\r\nMESSAGE-ID:\r\n\t<a@b>\r\n\r\n", "<a@b>"),  # folded
    (b"X: message-id: no\r\n\r\nMessage-ID: <body>\r\n", None),
    (b"X-Message-ID: <a@b>\r\n\r\n", None),
    (b"Message-ID: <1@b>\r\nMessage-ID: <2@b>\r\n\r\n", "<1@b>"),
    (b"Message-ID: <a@b>\r\n", "<a@b>"),  # no body at all
    (b"", None),
]


@pytest.mark.parametrize(("body", "expected"), HEADERS)
def test_the_message_id_is_found(body, expected):
    assert headers(body, b"message-id") == [expected]


LINE = (
    b'{"message_id":"<1@x>","mail_from":"a@b","rcpt":"c@d","sha256":"00","size":1,"helo":"h","peer":"p:1",'
    b'"t_dot":1.0,"t_reply":null,"reply":null,"behaviour":"ok","tls":"","provider":"other","mx":"m",'
    b'"delivery_ref":null,"unknown":1}\n'
)


def test_a_torn_last_line_is_left_out(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(LINE + LINE + LINE[:40])
    assert len(oracle.load(log)) == 2


def test_damage_anywhere_else_is_an_error(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(LINE + LINE[:40] + b"\n" + LINE)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        oracle.load(log)


def test_a_log_nobody_wrote_is_empty(tmp_path):
    assert oracle.load(tmp_path / "none") == []


def test_duplicates_are_counted_by_message_and_recipient(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(LINE + LINE + LINE.replace(b"c@d", b"e@f"))
    entries = oracle.load(log)
    assert oracle.pairs(entries) == {("<1@x>", "c@d"): 2, ("<1@x>", "e@f"): 1}
    assert oracle.duplicates(entries) == {("<1@x>", "c@d"): 2}
