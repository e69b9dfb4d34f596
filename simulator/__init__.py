"""A small internet on loopback: DNS, mailbox providers, a relay, and the oracle of the fault tests.

The recipient decides what happens: the local part names a behaviour (`nobody@`, `grey@`, `dropdot@`), the
domain names a mailbox provider or a host with a fault of its own (`gmail.test`, `badtls.test`). What a server
accepted is in the log, fsynced, before its 250 leaves; so the log can testify against the product.

Guarantees: nothing listens outside loopback, nothing is sent but to `returns` and to the connected peers, and
memory is bounded whatever a peer does. Refuses to be a mail server: there are no mailboxes and nothing is
relayed.

    hosts, names, nameserver       who is out there, and the DNS that says so
    behaviours, replies            what a recipient does, and in whose words
    wire, conversation, login      bytes, latency and TLS; SMTP over them; the relay's AUTH
    policies                       MTA-STS policies over HTTPS
    received, journal, oracle      a message, the log it goes to, and how tests read it
    reports, returns               DSN and ARF, back to the return-path
    internet, world, control       all of it running, what its parts share, a door for scripts
"""

from simulator.config import Config
from simulator.internet import Simulator, running

__all__ = ["Config", "Simulator", "running"]
