"""What stands around the servers: relay, reports, latency, control, command line."""

import asyncio
import base64
import email
import json
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from simulator import Config, Simulator, oracle
from simulator.__main__ import config_from


@pytest.fixture
def verified(internet):
    return ssl.create_default_context(cafile=internet.sim.ca_file)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def at_relay(internet, context):
    peer = internet.dial(port=internet.sim.relay_port)
    peer.say("EHLO s")
    peer.secure(context, "relay.test")
    peer.say("EHLO s")
    return peer


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "relay.test"])
def test_the_relay_can_be_verified_by_each_of_its_names(internet, verified, name):
    peer = internet.dial(port=internet.sim.relay_port)
    peer.say("EHLO s")
    peer.secure(verified, name)
    assert b"AUTH LOGIN PLAIN" in peer.say("EHLO s")


def test_an_exchanger_cannot_be_verified(internet, verified):
    peer = internet.dial()
    peer.say("EHLO s")
    with pytest.raises(ssl.SSLCertVerificationError):
        peer.secure(verified)


def test_the_relay_wants_tls_before_a_login_and_a_login_before_mail(internet, verified):
    peer = internet.dial(port=internet.sim.relay_port)
    assert b"AUTH" not in peer.say("EHLO s")
    assert peer.say("MAIL FROM:<a@acme.test>").startswith(b"530")
    assert peer.say(f"AUTH PLAIN {encoded(chr(0) + 'demo' + chr(0) + 'demo')}").startswith(b"538")
    peer.secure(verified)
    peer.say("EHLO s")
    assert peer.say("MAIL FROM:<a@acme.test>").startswith(b"530")


LOGINS = [
    ([f"AUTH PLAIN {encoded(chr(0) + 'demo' + chr(0) + 'demo')}"], b"235"),
    (["AUTH PLAIN", encoded(chr(0) + "demo" + chr(0) + "demo")], b"235"),
    (["AUTH LOGIN", encoded("demo"), encoded("demo")], b"235"),
    ([f"auth login {encoded('demo')}", encoded("demo")], b"235"),
    (["AUTH LOGIN", encoded("demo"), encoded("wrong")], b"535"),
    (["AUTH LOGIN", "*", "*"], b"535"),
    ([f"AUTH PLAIN {encoded('demo')}"], b"535"),
    (["AUTH CRAM-MD5"], b"504"),
    (["AUTH"], b"504"),
]


@pytest.mark.parametrize(("lines", "expected"), LOGINS)
def test_a_login_succeeds_with_the_right_words_only(internet, verified, lines, expected):
    peer = at_relay(internet, verified)
    for line in lines[:-1]:
        assert peer.say(line).startswith(b"334")
    assert peer.say(lines[-1]).startswith(expected)
    mail = peer.say("MAIL FROM:<a@acme.test>")
    assert mail.startswith(b"250" if expected == b"235" else b"530")


def test_the_relay_takes_everything(internet, verified):
    message_id, content = internet.message()
    with smtplib.SMTP("localhost", internet.sim.relay_port) as client:
        client.starttls(context=verified)
        client.login("demo", "demo")
        client.sendmail("a@acme.test", ["nobody@gmail.test"], content)
    (entry,) = internet.kept(message_id)
    assert (entry.behaviour, entry.mx, entry.tls) == ("relay", "relay.test", "TLSv1.3")


def test_the_relay_also_speaks_tls_from_the_start(internet, verified):
    with smtplib.SMTP_SSL("localhost", internet.sim.relay_tls_port, context=verified) as client:
        assert client.login("demo", "demo")[0] == 235


def test_certificates_are_used_again(start, tmp_path):
    start(cert_dir=tmp_path / "certs")
    before = (tmp_path / "certs" / "ca.pem").read_bytes()
    start(cert_dir=tmp_path / "certs")
    assert (tmp_path / "certs" / "ca.pem").read_bytes() == before


def listen_once(answers):
    """A listener that takes one message and keeps what it was told."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 bounces\r\n")
            body = False
            for line in lines:
                answers.append(line)
                body = body and line != b".\r\n"
                if body:
                    continue
                code = {b"DATA": b"354", b"QUIT": b"221"}.get(line[:4].strip().upper(), b"250")
                body = code == b"354"
                connection.sendall(code + b" ok\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return server, thread


def reported(start, rcpt, **settings):
    answers = []
    server, thread = listen_once(answers)
    with server:
        internet = start(returns=server.getsockname(), **settings)
        _, content = internet.message()
        peer = internet.dial()
        peer.envelope(rcpt)
        peer.say("DATA")
        assert peer.body(content).startswith(b"250")
        thread.join(10.0)
    data = answers.index(b"data\r\n")
    return b"".join(answers[:data]).lower(), email.message_from_bytes(b"".join(answers[data + 1 : -2]))


def test_a_bounce_follows_the_250_to_the_return_path(start):
    envelope, report = reported(start, "bounce@gmail.test")
    assert b"mail from:<>" in envelope
    assert b"rcpt to:<b+token@rp.agents.acme.test>" in envelope
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, original = report.get_payload()
    per_message, per_recipient = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mx.crowd.test"
    assert per_recipient["Final-Recipient"] == "rfc822; bounce@gmail.test"
    assert (per_recipient["Action"], per_recipient["Status"]) == ("failed", "5.1.1")
    assert "X-AO-Ref: ref" in original.get_payload()
    assert text.get_content_type() == "text/plain"


def test_a_complaint_follows_the_250(start):
    envelope, report = reported(start, "complain@yahoo.test")
    assert b"rcpt to:<b+token@rp.agents.acme.test>" in envelope
    assert report.get_param("report-type") == "feedback-report"
    _, feedback, original = report.get_payload()
    fields = email.message_from_string(feedback.get_payload()[0].as_string())
    assert (fields["Feedback-Type"], fields["Version"]) == ("abuse", "1")
    assert fields["User-Agent"]
    assert fields["Original-Rcpt-To"] == "<complain@yahoo.test>"
    assert original.get_payload()[0]["X-AO-Ref"] == "ref"


def test_complaints_can_have_an_address_of_their_own(start):
    envelope, _ = reported(start, "complain@yahoo.test", feedback_address="fbl@rp.acme.test")
    assert b"rcpt to:<fbl@rp.acme.test>" in envelope


def test_a_null_return_path_is_never_reported_to(start):
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        internet = start(returns=server.getsockname())
        _, content = internet.message()
        peer = internet.dial()
        peer.envelope("bounce@gmail.test", mail_from="")
        peer.say("DATA")
        assert peer.body(content).startswith(b"250")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_latency_holds_back_what_a_peer_says_and_keeps_its_order(start):
    internet = start(latency_ms=200)
    message_id, content = internet.message()
    peer = internet.dial()
    peer.sock.settimeout(0.01)
    peer.sock.sendall(b"EHLO s\r\n")
    with pytest.raises(TimeoutError):
        peer.sock.recv(1)
    peer.sock.settimeout(10.0)
    assert peer.reply().startswith(b"250")
    peer.sock.sendall(b"MAIL FROM:<a@acme.test>\r\nRCPT TO:<ok@x.test>\r\nDATA\r\n")
    assert [peer.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    for octet in content:
        peer.sock.sendall(bytes((octet,)))
    assert peer.body(b"").startswith(b"250")
    assert len(internet.kept(message_id)) == 1


def test_over_latency_a_dot_arrives_after_its_sender_is_gone(start):
    internet = start(latency_ms=100)
    message_id, content = internet.message()
    peer = internet.dial()
    peer.envelope("ok@x.test")
    peer.say("DATA")
    peer.sock.sendall(content + b".\r\n")
    peer.sock.close()
    following = internet.dial()
    assert following.say("NOOP").startswith(b"250")
    assert len(internet.kept(message_id)) == 1


def test_latency_reaches_through_tls(start):
    internet = start(latency_ms=30)
    peer = internet.dial()
    peer.say("EHLO s")
    peer.secure(ssl._create_unverified_context())
    assert peer.say("EHLO s").startswith(b"250")


def order(internet, **words):
    with socket.create_connection(("127.0.0.1", internet.sim.control_port), timeout=10.0) as door:
        door.sendall(json.dumps(words).encode() + b"\n")
        return json.loads(door.makefile("rb").readline())


def test_a_whole_domain_can_be_put_in_a_mood_and_out_of_it(internet):
    assert "error" not in order(internet, mood={"moody.test": "full"})
    assert internet.dial().envelope("ok@MOODY.test").startswith(b"452")
    assert internet.dial().envelope("ok@elsewhere.test").startswith(b"250")
    order(internet, mood={"moody.test": None})
    assert internet.dial().envelope("ok@moody.test").startswith(b"250")


def test_the_control_door_counts_and_refuses_what_it_does_not_know(internet):
    assert order(internet)["connections"] >= 0
    assert "nonsense" in order(internet, nonsense=1)["error"]
    assert "error" in order(internet, latency_ms="soon")


BAD_COMMANDS = [
    ("RCPT TO:<ok@x.test>", b"503"),
    ("DATA", b"503"),
    ("MAIL FROM:<a@b", b"503"),
    ("NONSENSE", b"500"),
    ("", b"500"),
    ("EHLO", b"501"),
    ("HELO s", b"250"),
    ("MAIL FROM:a@b", b"501"),
    ("MAIL FROM:<a@b> SIZE=1", b"250"),
    ("MAIL FROM:<a@b>", b"503"),
    ("RCPT TO:<a@b>, <c@d>", b"501"),
    ("RCPT TO:<>", b"501"),
    ("AUTH PLAIN x", b"502"),
    ("VRFY a", b"252"),
    ("RSET", b"250"),
    ("QUIT", b"221"),
]


def test_commands_out_of_order_or_malformed_are_refused(internet):
    peer = internet.dial()
    for line, expected in BAD_COMMANDS:
        assert peer.say(line).startswith(expected), line
    assert peer.ended()


def test_a_line_without_end_is_cut_off(internet):
    peer = internet.dial()
    peer.sock.sendall(b"x" * 20_000)
    assert peer.reply().startswith(b"500")


def test_it_runs_inside_an_event_loop_too(tmp_path):
    async def exchange():
        async with Simulator(Config(log=tmp_path / "log")) as sim:
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.smtp_port)
            assert (await reader.readline()).startswith(b"220")
            writer.close()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", sim.smtp_port)

    asyncio.run(exchange())


def test_only_loopback_will_do(tmp_path):
    with pytest.raises(ValueError, match="not loopback"):
        Simulator(Config(log=tmp_path / "log", host="0.0.0.0"))


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open(start, tmp_path):
    taken = start()
    with pytest.raises(OSError, match="in use"):
        start(smtp_port=taken.sim.smtp_port)
    with pytest.raises(OSError, match="in use"):
        start(dns_port=taken.sim.dns_port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_when_it_is_ready_and_ends_when_told(tmp_path, number):
    log = tmp_path / "deep" / "oracle.jsonl"
    command = [sys.executable, "-m", "simulator", "--log", str(log), "--relay-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        words = process.stdout.readline().split()
        assert words[:2] == ["simulator", "ready"]
        ports = dict(word.split("=127.0.0.1:") for word in words[2:])
        assert set(ports) == {"dns", "smtp", "relay"}
        with smtplib.SMTP("127.0.0.1", int(ports["smtp"])) as client:
            client.sendmail("a@acme.test", ["ok@x.test"], b"Message-ID: <1@x>\r\n\r\n")
            process.send_signal(number)
            assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert [entry.message_id for entry in oracle.load(log)] == ["<1@x>"]


def test_the_command_line_means_what_it_says(tmp_path):
    line = "--log l --dns-port 1 --smtp-port 2 --returns 127.0.0.1:3 --latency-ms 50 --no-fsync --txt z.json"
    zone = ["--zone", "a.test=TXT:v=spf1 -all", "--zone", "a.test=MX:10 mx.a.test."]
    config = config_from(line.split() + zone)
    assert (config.dns_port, config.smtp_port, config.returns) == (1, 2, ("127.0.0.1", 3))
    assert (config.latency_ms, config.fsync, config.zone_file.name) == (50.0, False, "z.json")
    assert config.zone == {"a.test": [("TXT", "v=spf1 -all"), ("MX", "10 mx.a.test.")]}


@pytest.mark.parametrize("argument", ["--zone=a.test", "--zone=a.test=TXT", "--returns=25", "--nonsense"])
def test_a_wrong_command_line_is_refused(argument, capsys):
    with pytest.raises(SystemExit):
        config_from(["--log", "l", argument])
