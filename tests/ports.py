"""Ports for servers that must be told theirs beforehand."""

import socket


def free_port() -> int:
    """A port nobody listens on, and nobody else is given within a minute, in no other process of the tests either.

    Since the server's end closed a connection first, the port is in TIME_WAIT: the kernel hands it to nobody who asks
    for any port, and a server that sets SO_REUSEADDR, as all do, may take it at once.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address):
            server.accept()[0].close()
    return int(address[1])
