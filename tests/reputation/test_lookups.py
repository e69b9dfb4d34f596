"""Look-ups of a check, asked of the simulator's name server; and the try of port 25, at its mail hosts."""

import socket
import threading
from collections.abc import Iterator

import pytest

from reputation.asking import Absent, Temporary
from reputation.egress import try_certificate, try_port
from reputation.lookups import Lookups
from reputation.records import Outcome
from simulator import Config, Simulator, hosts, running

LONG = "v=DKIM1; k=rsa; p=" + "A" * 400
TLSA = "3 1 1 " + "ab" * 32
ZONE = {
    "s1._domainkey.agents.acme.test": [("TXT", LONG)],
    "two.acme.test": [("TXT", "v=spf1 -all"), ("TXT", "v=spf1 ~all")],
    "rp.agents.acme.test": [("MX", "10 in.acme.test.")],
    "in.acme.test": [("A", "127.0.0.1"), ("AAAA", "::1")],
    "u.agents.acme.test": [("CNAME", "in.acme.test.")],
    "1.0.0.127.in-addr.arpa": [("PTR", "in.acme.test.")],
    "_25._tcp.in.acme.test": [("TLSA", TLSA)],
}


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(Config(log=tmp_path_factory.mktemp("dns") / "oracle.jsonl", zone=ZONE)) as sim:
        yield sim


@pytest.fixture
def lookups(internet: Simulator) -> Iterator[Lookups]:
    with Lookups([("127.0.0.1", internet.dns_port)], allow_loopback=True) as lookups:
        yield lookups


ANSWERS = [
    # name, type, what is found
    ("s1._domainkey.agents.acme.test", "TXT", (LONG,)),  # the strings of a long key are joined
    ("two.acme.test", "TXT", ("v=spf1 -all", "v=spf1 ~all")),
    ("Two.Acme.TEST.", "TXT", ("v=spf1 -all", "v=spf1 ~all")),
    ("rp.agents.acme.test", "MX", ("10 in.acme.test.",)),
    ("nullmx.test", "MX", ("0 .",)),
    ("in.acme.test", "A", ("127.0.0.1",)),
    ("in.acme.test", "AAAA", ("::1",)),
    ("u.agents.acme.test", "CNAME", ("in.acme.test.",)),
    ("u.agents.acme.test", "A", ("127.0.0.1",)),  # an alias is followed
    ("1.0.0.127.in-addr.arpa", "PTR", ("in.acme.test.",)),
    ("_25._tcp.in.acme.test", "TLSA", (TLSA,)),
    ("acme.test", "SOA", ("ns.test. hostmaster.test. 1 3600 600 86400 60",)),
]


@pytest.mark.parametrize(("name", "rdtype", "values"), ANSWERS)
def test_what_is_published_is_found(lookups, name, rdtype, values):
    found = lookups.ask(name, rdtype)
    assert (found.outcome, sorted(found.values)) == (Outcome.ANSWERED, sorted(values))


NOTHING = [
    ("nothing.agents.acme.test", "TXT", Outcome.ABSENT),  # no such name
    ("rp.agents.acme.test", "TXT", Outcome.ABSENT),  # no such type at this name
    ("nxdomain.test", "MX", Outcome.ABSENT),
    ("bücher.test", "A", Outcome.ABSENT),  # not an A-label: no DNS holds it
    ("a..test", "A", Outcome.ABSENT),
    ("servfail.test", "TXT", Outcome.FAILED),
    ("lame.test", "TXT", Outcome.FAILED),  # REFUSED
    ("example.com", "TXT", Outcome.FAILED),  # this server does not know
]


@pytest.mark.parametrize(("name", "rdtype", "outcome"), NOTHING)
def test_absent_is_an_answer_and_failed_is_none(lookups, name, rdtype, outcome):
    found = lookups.ask(name, rdtype)
    assert (found.outcome, found.values) == (outcome, ())


def test_the_pure_rooms_get_values_or_are_told_why_not(lookups):
    assert lookups.values("in.acme.test", "A") == ("127.0.0.1",)
    with pytest.raises(Absent):
        lookups.values("nxdomain.test", "A")
    with pytest.raises(Temporary):
        lookups.values("servfail.test", "A")


def test_silence_is_a_failure_in_the_end(internet):
    with Lookups([("127.0.0.1", internet.dns_port)], timeout=0.1, lifetime=0.2) as lookups:
        assert lookups.ask("timeout.test", "TXT").outcome is Outcome.FAILED


def test_answers_come_as_they_arrive_and_more_may_be_asked_between(lookups):
    asked = [("slow.test", "MX"), ("two.acme.test", "TXT"), ("in.acme.test", "A")]
    order = []
    for question, _ in lookups.arriving(asked):
        order.append(question)
        assert lookups.ask("rp.agents.acme.test", "MX").outcome is Outcome.ANSWERED
    assert sorted(order) == sorted(asked)
    assert order[-1] == ("slow.test", "MX")


def test_a_question_is_asked_once_in_a_check_and_again_in_the_next(internet):
    with Lookups([("127.0.0.1", internet.dns_port)]) as lookups:
        first = lookups.ask("two.acme.test", "TXT")
        internet.names._enrolled["two.acme.test"] = [("TXT", "changed")]
        try:
            assert lookups.ask("two.acme.test", "TXT") == first
            with Lookups([("127.0.0.1", internet.dns_port)]) as later:
                assert later.ask("two.acme.test", "TXT").values == ("changed",)
        finally:
            internet.names._enrolled["two.acme.test"] = list(ZONE["two.acme.test"])


def test_the_hosts_that_take_mail_are_those_a_worker_would_find(lookups):
    assert [each.host for each in lookups.exchangers("corp.test").hosts] == ["mx1.corp.test", "mx2.corp.test"]


# -- port 25 -------------------------------------------------------------------------------------------------


def test_a_greeting_shows_that_the_port_is_open(internet):
    gmail = hosts.BY_NAME["gmail-smtp-in.l.google.com.test"].address
    tried = try_port([gmail], internet.smtp_port)
    assert tried.done
    assert tried.words.startswith("220 ")


GREETINGS = [
    (b"554 5.7.1 go away\r\n", True),  # it was reached, and that was the question
    (b"421 too busy\r\n", True),
    (b"HTTP/1.1 400 Bad Request\r\n", False),  # a proxy in the way
    (b"", False),
]


@pytest.mark.parametrize(("said", "reached"), GREETINGS)
def test_whatever_a_mail_server_says_it_was_reached_and_anything_else_was_not(said, reached):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(said)

        thread = threading.Thread(target=greet)
        thread.start()
        assert try_port(["127.0.0.1"], server.getsockname()[1]).done is reached
        thread.join()


def test_the_second_address_is_tried_when_the_first_refuses_and_no_third(internet):
    good = hosts.crowd_address("whatever.test")
    assert try_port([hosts.REFUSING, good], internet.smtp_port).done
    closed = try_port([hosts.REFUSING, hosts.REFUSING, good], internet.smtp_port)
    assert not closed.done
    assert closed.words.count(hosts.REFUSING) == 2


def test_without_an_address_there_is_nothing_to_try():
    assert try_port([], 25).words == "there was no address to connect to"


def test_silence_is_not_waited_for(internet):
    assert not try_port([hosts.BLACKHOLE], internet.smtp_port, timeout=0.2).done


def test_a_certificate_that_nobody_vouches_for_is_none(internet):
    refused = try_certificate("localhost", internet.smtp_port, timeout=2.0)  # speaks SMTP there
    assert not refused.done
    with running(Config(log=internet.config.log.with_name("other.jsonl"), relay_tls_port=0)) as other:
        strange = try_certificate("localhost", other.relay_tls_port)
    assert not strange.done
    assert "certificate verify failed" in strange.words


def test_a_certificate_of_a_known_authority_is_one_until_it_ends(internet, monkeypatch):
    with running(Config(log=internet.config.log.with_name("more.jsonl"), relay_tls_port=0)) as other:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.ca_file))
        shown = try_certificate("localhost", other.relay_tls_port)
    assert shown.done, shown.words
    assert shown.words.startswith("valid until ")


@pytest.mark.parametrize("name", ["no.such.host.invalid", "x" * 300, ""])
def test_a_name_that_leads_nowhere_shows_no_certificate(name):
    assert not try_certificate(name, 1, timeout=2.0).done
