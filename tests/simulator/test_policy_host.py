"""The policy host: what it serves, and as whom."""

import socket
import ssl

import pytest

from simulator import hosts
from simulator.hosts import Proof
from simulator.policies import POLICIES, answer

PATH = "/.well-known/mta-sts.txt"


def request(host, path=PATH, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (request("mta-sts.sts.test"), "sts.test"),
        (request("mta-sts.sts.test:8443"), "sts.test"),
        (request("mta-sts.sts-nopolicy.test"), None),
        (request("mta-sts.nobody.test"), None),
        (request("mta-sts.sts.test", "/"), None),
        (request("mta-sts.sts.test", method="POST"), None),
        (b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n\r\n", None),
    ],
)
def test_a_policy_is_served_where_its_domain_publishes_one(sent, found):
    head, _, body = answer(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 " if found else b"HTTP/1.1 404 ")
    assert body.decode() == (POLICIES[found] if found else "")


def fetch(sim, name):
    """The status of a policy host's answer, its name checked. Raises ssl.SSLError."""
    context = ssl.create_default_context(cafile=sim.ca_file)
    sock = socket.create_connection(("127.0.0.1", sim.policy_port), timeout=10.0)
    with sock, context.wrap_socket(sock, server_hostname=name) as secured:
        secured.sendall(request(name))
        return int(secured.makefile("rb").readline().split()[1])


def test_it_proves_the_name_of_each_policy_host_and_no_other(start):
    sim = start(policy_port=0).sim
    assert f"policy=127.0.0.1:{sim.policy_port}" in sim.ready_line()
    for domain, policy in POLICIES.items():
        assert fetch(sim, f"mta-sts.{domain}") == (200 if policy else 404)
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch(sim, "mta-sts.other.test")


PROOFS = [
    ("sts", Proof.OF_ITS_NAME, True),
    ("sts-badcert", Proof.OF_ANOTHER_NAME, False),
    ("sts-selfsigned", Proof.OF_ITSELF, False),
    ("other", Proof.OF_ITSELF, False),
]


@pytest.mark.parametrize(("domain", "proof", "believed"), PROOFS)
def test_a_mail_host_shows_the_certificate_its_table_says(start, domain, proof, believed):
    internet = start()
    host = hosts.BY_NAME[f"mx.{domain}.test"]
    assert host.proof is proof
    peer = internet.dial(host.address)
    assert peer.say("EHLO s").startswith(b"250")
    context = ssl.create_default_context(cafile=internet.sim.ca_file)
    if believed:
        peer.secure(context, host.name)
        assert peer.say("EHLO s").startswith(b"250")
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            peer.secure(context, host.name)
