"""All of it, running: one event loop, one process, every socket on loopback.

`async with Simulator(config) as sim` in asynchronous code, `with running(config) as sim` from a synchronous
test (a thread with its own loop). Ports are known once it is entered. Leaving closes every connection at
once.
"""

import asyncio
import datetime as dt
import errno
import ipaddress
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self

from simulator import control, hosts, policies
from simulator.certificates import contexts
from simulator.config import Config
from simulator.conversation import Conversation
from simulator.journal import Journal
from simulator.names import Names
from simulator.nameserver import NameServer, TcpPort, UdpPort
from simulator.returns import Returns
from simulator.world import World

BACKLOG: Final = 1_024
PORT_TRIES: Final = 50


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def listener(address: str, port: int, *, window: int = 0, backlog: int = BACKLOG) -> socket.socket:
    """A listening TCP socket. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.bind((address, port))
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def same_port(
    addresses: list[str], port: int, open_one: Callable[[str, int], socket.socket]
) -> list[socket.socket]:
    """One socket per address, all on one port; with port 0 on one that is free on all. Raises OSError."""
    for _ in range(PORT_TRIES):
        opened: list[socket.socket] = []
        try:
            for address in addresses:
                opened.append(open_one(address, port or (opened[0].getsockname()[1] if opened else 0)))
        except OSError as error:
            for sock in opened:
                sock.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
            continue
        return opened
    raise OSError(errno.EADDRINUSE, "no port is free on all addresses")


class Simulator:
    """The small internet. `dns_port`, `smtp_port`, ... and `ca_file` hold from entering to leaving."""

    def __init__(self, config: Config) -> None:
        if not ipaddress.ip_address(config.host).is_loopback:
            raise ValueError(f"{config.host} is not loopback")
        self.config = config
        self.dns_port = 0
        self.smtp_port = 0
        self.relay_port: int | None = None
        self.relay_tls_port: int | None = None
        self.policy_port: int | None = None
        self.control_port: int | None = None
        self.ca_file = Path()
        self.world: World
        self.names: Names
        self._stack = AsyncExitStack()
        self._plugs: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for talk in tuple(self.world.talking):
            talk.reset()
        await self._stack.aclose()

    async def _start(self) -> None:
        self.world = self._make_world()
        self.names = Names(zone=self.config.zone, zone_file=self.config.zone_file)
        await self._start_smtp()
        await self._start_dns()
        await self._start_relay()
        if self.config.policy_port is not None:
            office = await asyncio.start_server(
                policies.serve, self.config.host, self.config.policy_port, ssl=self.world.tls.named
            )
            self.policy_port = self._until_exit(office)
        if self.config.control_port is not None:
            door = await asyncio.start_server(
                partial(control.serve, self.world), self.config.host, self.config.control_port
            )
            self.control_port = self._until_exit(door)

    def _make_world(self) -> World:
        loop, config = asyncio.get_running_loop(), self.config
        journal = Journal(config.log, loop, fsync=config.fsync)
        self._stack.callback(journal.close)
        returns = Returns(loop, config.returns, config.feedback_address)
        self._stack.callback(returns.close)
        tls = contexts(self._cert_dir(), dt.datetime.now(dt.UTC))
        self.ca_file = tls.ca_file
        if config.keep is not None:
            config.keep.mkdir(parents=True, exist_ok=True)
        return World(loop, journal, tls, returns, latency=config.latency_ms / 1000.0, folder=config.keep)

    def _cert_dir(self) -> Path:
        if self.config.cert_dir is not None:
            return self.config.cert_dir
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="simulator-")))

    async def _start_smtp(self) -> None:
        windows = {host.address: host.window for host in hosts.HOSTS}
        windows = {self.config.host: 0} | windows | {hosts.BLACKHOLE: 0}
        sockets = self._listen(windows)
        self.smtp_port = sockets[0].getsockname()[1]
        for sock in sockets:
            if sock.getsockname()[0] == hosts.BLACKHOLE:
                self._plug(sock)
            else:
                await self._serve_smtp(sock)

    def _listen(self, windows: dict[str, int]) -> list[socket.socket]:
        def open_one(address: str, port: int) -> socket.socket:
            return listener(
                address, port, window=windows[address], backlog=0 if address == hosts.BLACKHOLE else BACKLOG
            )

        try:
            return same_port(list(windows), self.config.smtp_port, open_one)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            print("simulator: only 127.0.0.1 here; hosts cannot be told apart", file=sys.stderr)
            self.names.only_loopback_one = True
            return same_port([self.config.host], self.config.smtp_port, open_one)

    def _plug(self, sock: socket.socket) -> None:
        """Fill the backlog, so that further SYNs are dropped."""
        self._stack.callback(sock.close)
        for _ in range(2):
            plug = socket.socket()
            plug.setblocking(False)
            plug.connect_ex(sock.getsockname())
            self._stack.callback(plug.close)

    async def _serve_smtp(self, sock: socket.socket) -> None:
        server = await self.world.loop.create_server(
            partial(Conversation, self.world), sock=sock, backlog=BACKLOG
        )
        self._until_exit(server)

    async def _start_dns(self) -> None:
        server = NameServer(self.names, self.world.loop)
        for _ in range(PORT_TRIES):
            tcp = listener(self.config.host, self.config.dns_port)
            port: int = tcp.getsockname()[1]
            try:
                udp, _protocol = await self.world.loop.create_datagram_endpoint(
                    partial(UdpPort, server), local_addr=(self.config.host, port)
                )
            except OSError:
                tcp.close()
                if self.config.dns_port:
                    raise
                continue
            self._stack.callback(udp.close)
            self._until_exit(await self.world.loop.create_server(partial(TcpPort, server), sock=tcp))
            self.dns_port = port
            return
        raise OSError(errno.EADDRINUSE, "no port is free for UDP and TCP")

    async def _start_relay(self) -> None:
        open_relay = partial(Conversation, self.world, hosts.RELAY)
        create, address = self.world.loop.create_server, self.config.host
        if self.config.relay_port is not None:
            self.relay_port = self._until_exit(
                await create(open_relay, address, self.config.relay_port, backlog=BACKLOG)
            )
        if self.config.relay_tls_port is not None:
            context = self.world.tls.relay
            server = await create(
                open_relay, address, self.config.relay_tls_port, ssl=context, backlog=BACKLOG
            )
            self.relay_tls_port = self._until_exit(server)

    def _until_exit(self, server: asyncio.Server) -> int:
        self._stack.callback(server.close)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def ready_line(self) -> str:
        """What a supervisor waits for."""
        ports = {
            "dns": self.dns_port,
            "smtp": self.smtp_port,
            "relay": self.relay_port,
            "relay-tls": self.relay_tls_port,
            "policy": self.policy_port,
            "control": self.control_port,
        }
        listening = [f"{name}={self.config.host}:{port}" for name, port in ports.items() if port is not None]
        return " ".join(["simulator ready", *listening])


@contextmanager
def running(config: Config) -> Iterator[Simulator]:
    """A simulator in a thread of its own. Raises what its start raises."""
    sim = Simulator(config)
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(sim.__aenter__(), loop).result()
        try:
            yield sim
        finally:
            asyncio.run_coroutine_threadsafe(sim.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
