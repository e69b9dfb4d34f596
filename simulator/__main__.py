"""`python -m simulator`: run the small internet until SIGTERM or SIGINT.

Prints one line when every port is open (`simulator ready dns=... smtp=...`) and nothing else but complaints.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from simulator.config import Config
from simulator.internet import Simulator, new_loop
from simulator.names import Record


def endpoint(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def record(text: str) -> tuple[str, Record]:
    """NAME=TYPE:TEXT, for example `rp.agents.acme.test=MX:10 mail.acme.test.`."""
    name, equals, rest = text.partition("=")
    kind, colon, value = rest.partition(":")
    if not (name and equals and colon):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TYPE:TEXT")
    return name, (kind, value)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    args = argparse.ArgumentParser(prog="python -m simulator", description="A small internet on loopback.")
    args.add_argument("--log", type=Path, required=True, help="the oracle: JSON lines of what was accepted")
    args.add_argument("--host", default="127.0.0.1", help="a loopback address")
    args.add_argument("--dns-port", type=int, default=0)
    args.add_argument("--smtp-port", type=int, default=0)
    args.add_argument("--relay-port", type=int, help="a relay with STARTTLS; login demo/demo")
    args.add_argument("--relay-tls-port", type=int, help="the same with implicit TLS")
    args.add_argument("--policy-port", type=int, help="MTA-STS policies over HTTPS")
    args.add_argument("--control-port", type=int, help="JSON orders, one a line")
    args.add_argument("--returns", type=endpoint, metavar="HOST:PORT", help="where DSNs and abuse reports go")
    args.add_argument("--feedback-address", help="recipient of abuse reports instead of the return-path")
    args.add_argument("--zone", type=record, action="append", default=[], metavar="NAME=TYPE:TEXT")
    args.add_argument(
        "--txt", "--zone-file", dest="zone_file", type=Path, metavar="FILE", help="JSON, re-read"
    )
    args.add_argument("--latency-ms", type=float, default=0.0, help="round trip to pretend")
    args.add_argument("--cert-dir", type=Path, help="where ca.pem and the servers' certificates are kept")
    args.add_argument("--keep", type=Path, metavar="DIR", help="store each message under its SHA-256")
    args.add_argument("--no-fsync", dest="fsync", action="store_false", help="for benchmarks only")
    return args


def config_from(arguments: list[str]) -> Config:
    """Arguments as a Config. Exits with usage if they are wrong."""
    options = vars(parser().parse_args(arguments))
    zone: dict[str, list[Record]] = {}
    for name, entry in options.pop("zone"):
        zone.setdefault(name, []).append(entry)
    return Config(zone=zone, **options)


async def serve(config: Config) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(config) as sim:
        print(sim.ready_line(), flush=True)
        await stop.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(config_from(sys.argv[1:])))
