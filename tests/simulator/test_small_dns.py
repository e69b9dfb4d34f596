"""The DNS of the small internet, asked by dnspython's resolver."""

import json
import os

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from reputation import providers
from simulator import hosts
from simulator.names import Names, Rcode


@pytest.fixture
def ask(internet):
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = internet.sim.dns_port
    resolver.lifetime = 5.0

    def answers(name, rdtype):
        return sorted(record.to_text() for record in resolver.resolve(name, rdtype))

    return answers


EXCHANGERS = [
    ("gmail.test", ["10 alt1.gmail-smtp-in.l.google.com.test.", "5 gmail-smtp-in.l.google.com.test."]),
    ("workspace.test", ["1 aspmx.l.google.com.test.", "5 alt1.aspmx.l.google.com.test."]),
    ("outlook.test", ["5 outlook-com.olc.protection.outlook.com.test."]),
    ("m365.test", ["0 m365-test.mail.protection.outlook.com.test."]),
    ("yahoo.test", [f"1 mta{n}.am0.yahoodns.net.test." for n in (5, 6, 7)]),
    ("icloud.test", ["10 mx01.mail.icloud.com.test.", "10 mx02.mail.icloud.com.test."]),
    ("corp.test", ["10 mx1.corp.test.", "20 mx2.corp.test."]),
    ("other.test", ["10 mx.other.test."]),
    ("whatever.test", ["10 mx.whatever.test."]),  # any other name has one
    ("WhatEver.Test", ["10 mx.whatever.test."]),  # names have no case
    ("nullmx.test", ["0 ."]),
    ("loopmx.test", ["10 localhost."]),
    ("cname.test", ["10 mx.other.test."]),  # an alias at the domain itself is followed
    ("cnamemx.test", ["10 alias.cnamemx.test."]),
    ("twomx.test", ["10 mx1.twomx.test.", "20 mx2.twomx.test."]),
    ("truncated.test", ["10 mx.truncated.test."]),
    ("badtls.test", ["10 mx.badtls.test."]),
]


@pytest.mark.parametrize(("domain", "expected"), EXCHANGERS)
def test_a_domain_has_these_exchangers(ask, domain, expected):
    assert [text.lower() for text in ask(domain, "MX")] == expected


ADDRESSES = [
    ("gmail-smtp-in.l.google.com.test", hosts.BY_NAME["gmail-smtp-in.l.google.com.test"].address),
    ("mx.whatever.test", hosts.crowd_address("whatever.test")),
    ("mx1.twomx.test", hosts.REFUSING),
    ("mx.blackhole.test", hosts.BLACKHOLE),
    ("mx.privatemx.test", "10.0.0.1"),
    ("alias.cnamemx.test", hosts.BY_NAME["mx.other.test"].address),
    ("nomx.test", hosts.crowd_address("nomx.test")),
    ("localhost", "127.0.0.1"),
]


@pytest.mark.parametrize(("name", "expected"), ADDRESSES)
def test_a_host_has_this_address(ask, name, expected):
    assert ask(name, "A") == [expected]


def test_fifty_exchangers_begin_with_dead_ones(ask):
    exchangers = sorted(ask("manymx.test", "MX"), key=lambda text: int(text.split()[0]))
    assert len(exchangers) == 50
    addresses = [ask(text.split()[1], "A")[0] for text in exchangers[:4]]
    assert addresses == [hosts.REFUSING] * 3 + [hosts.crowd_address("manymx.test")]


NOTHING = [
    # name, type, the resolver's word for it
    ("nxdomain.test", "MX", dns.resolver.NXDOMAIN),
    ("no.such.host.whatever.test", "A", dns.resolver.NXDOMAIN),
    ("norrs.test", "MX", dns.resolver.NoAnswer),
    ("norrs.test", "A", dns.resolver.NoAnswer),
    ("nomx.test", "MX", dns.resolver.NoAnswer),
    ("gmail.test", "AAAA", dns.resolver.NoAnswer),
    ("mx.noaddress.test", "A", dns.resolver.NoAnswer),
    ("google.com.test", "A", dns.resolver.NoAnswer),  # exists because names below it do
    ("servfail.test", "MX", dns.resolver.NoNameservers),
    ("lame.test", "MX", dns.resolver.NoNameservers),
    ("gmail.com", "MX", dns.resolver.NoNameservers),  # not ours to answer for
    ("cnameloop.test", "MX", dns.resolver.NoNameservers),
]


@pytest.mark.parametrize(("name", "rdtype", "error"), NOTHING)
def test_a_name_has_nothing_to_give(ask, name, rdtype, error):
    with pytest.raises(error):
        ask(name, rdtype)


def udp(internet, name, rdtype="MX", *, timeout=5.0, **options):
    query = dns.message.make_query(name, rdtype, **options)
    return dns.query.udp(query, "127.0.0.1", port=internet.sim.dns_port, timeout=timeout)


def test_a_silent_domain_never_answers(internet):
    with pytest.raises(dns.exception.Timeout):
        udp(internet, "timeout.test", timeout=0.3)


def test_a_slow_domain_does_not_answer_at_once(internet):
    with pytest.raises(dns.exception.Timeout):
        udp(internet, "slow.test", timeout=0.3)
    assert udp(internet, "slow.test").answer


def test_every_answer_is_authoritative(internet):
    assert udp(internet, "gmail.test").flags & dns.flags.AA


@pytest.mark.parametrize("name", ["norrs.test", "nxdomain.test", "a.b.whatever.test"])
def test_a_negative_answer_says_how_long_it_holds(internet, name):
    (rrset,) = udp(internet, name).authority
    assert rrset.rdtype == dns.rdatatype.SOA
    assert rrset[0].minimum == 60


@pytest.mark.parametrize(("name", "options"), [("truncated.test", {}), ("manymx.test", {"use_edns": False})])
def test_what_does_not_fit_is_truncated_and_whole_over_tcp(internet, name, options):
    short = udp(internet, name, **options)
    assert short.flags & dns.flags.TC
    assert not short.answer
    query = dns.message.make_query(name, "MX", **options)
    whole = dns.query.tcp(query, "127.0.0.1", port=internet.sim.dns_port, timeout=5.0)
    assert whole.answer
    assert not whole.flags & dns.flags.TC


def test_the_connection_for_tcp_may_be_used_again(internet):
    import socket

    with socket.create_connection(("127.0.0.1", internet.sim.dns_port), timeout=5.0) as sock:
        for name in ("gmail.test", "yahoo.test"):
            query = dns.message.make_query(name, "MX")
            dns.query.send_tcp(sock, query)
            reply, _ = dns.query.receive_tcp(sock)
            assert reply.question == query.question


def test_nonsense_is_not_answered_and_does_no_harm(internet):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for wire in (b"", b"\x00", b"x" * 40, b"\xff" * 512):
            sock.sendto(wire, ("127.0.0.1", internet.sim.dns_port))
    assert udp(internet, "gmail.test").answer


def test_a_start_of_authority_stands_at_every_domain(ask):
    assert ask("whatever.test", "SOA")[0].startswith("ns.test. ")


def test_the_zone_of_the_command_line_is_published(ask):
    assert ask("agents.acme.test", "TXT") == ['"v=spf1 -all"']


def test_a_long_text_is_cut_into_strings_and_comes_out_whole(start, tmp_path):
    zone_file = tmp_path / "zone.json"
    key = "v=DKIM1; k=rsa; p=" + "A" * 400
    zone_file.write_text(json.dumps({"s1._domainkey.agents.acme.test": [["TXT", key]]}))
    internet = start(zone_file=zone_file)
    (record,) = udp(internet, "s1._domainkey.agents.acme.test", "TXT").answer[0]
    assert [len(string) for string in record.strings] == [255, len(key) - 255]
    assert b"".join(record.strings).decode() == key


def test_the_zone_file_is_read_again_when_it_changes(tmp_path):
    zone_file = tmp_path / "zone.json"
    names = Names(zone={"kept.test": [("TXT", "fixed")]}, zone_file=zone_file)
    assert names.answer("late.acme.test", "TXT").rcode is Rcode.NXDOMAIN
    zone_file.write_text(json.dumps({"Late.acme.test.": [["txt", "one"]], "kept.test": [["A", "127.0.0.1"]]}))
    assert names.answer("late.acme.test", "TXT").chain == (("late.acme.test", (("TXT", "one"),)),)
    assert names.answer("kept.test", "TXT").chain == (("kept.test", (("TXT", "fixed"),)),)


def test_a_damaged_zone_file_does_not_take_names_away(tmp_path, capsys):
    zone_file = tmp_path / "zone.json"
    zone_file.write_text(json.dumps({"a.acme.test": [["TXT", "one"]]}))
    names = Names(zone_file=zone_file)
    assert names.answer("a.acme.test", "TXT").chain
    zone_file.write_text('{"a.acme.test": [["TXT", "tw')
    os.utime(zone_file, ns=(1, 1))
    assert names.answer("a.acme.test", "TXT").chain
    assert "zone file not read" in capsys.readouterr().err


def test_where_only_one_address_is_loopback_all_hosts_are_there():
    names = Names(only_loopback_one=True)
    assert names.answer("mx.whatever.test", "A").chain[0][1] == (("A", "127.0.0.1"),)
    assert names.answer("mx.privatemx.test", "A").chain[0][1] == (("A", "10.0.0.1"),)


@pytest.mark.parametrize("domain", sorted(hosts.PROVIDERS))
def test_the_product_tells_the_providers_apart_by_these_names(domain):
    family, exchangers = hosts.PROVIDERS[domain]
    assert {providers.family(name) for _, name in exchangers} == {family.value}
