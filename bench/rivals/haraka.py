"""Haraka with its own DKIM plugin (npm), delivering to the sink as its smart host.

Like Postfix it signs what it takes, so the yardstick is from the first message handed over to the last at the
sink. Tried: one process, and a cluster of two; the better counts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.installation import DOMAIN, answers, free_port
from bench.processes import Process, running, until
from bench.rivals.rival import Rate, cache, needs, output_of, through
from bench.sink import Sink
from bench.stand import Stand

PACKAGES = ("Haraka@3.3.4", "haraka-plugin-dkim@1.3.1")
CONNECTIONS = 100

# Takes everything for anybody, and sends it all to the one sink.
PLUGIN = """
exports.hook_mail = (next, connection) => { connection.relaying = true; next(OK) }
exports.hook_rcpt = (next, connection) => { connection.relaying = true; next(OK) }
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: %d })
"""

CONFIG = {
    "plugins": "everything\ndkim\n",
    "smtp.ini": "listen=127.0.0.1:{port}\nnodes={nodes}\n",
    "outbound.ini": "concurrency_max={connections}\nenable_tls=false\nreceived_header=disabled\nlocal_mx_ok=true\n",
    "dkim.ini": "[sign]\nenabled=true\nselector=bench\ndomain={domain}\n"
    "[canon]\nbody=relaxed\n[verify]\nenabled=false\n",
    "log.ini": "[main]\nlevel=ERROR\n",
    "me": "out.acme.test\n",
}


@dataclass(frozen=True, slots=True)
class Haraka:
    """`nodes` processes of a cluster, or one process without one."""

    name: str = "haraka + dkim"
    nodes: tuple[int, ...] = (0, 2)

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        needs("node", "npm")
        modules = _installed()
        rates = {str(nodes or 1): self._once(modules, stand.sink, n, nodes) for nodes in self.nodes}
        best = max(rates.values(), key=lambda rate: rate.per_second)
        by = {nodes: rate.per_second for nodes, rate in rates.items()}
        return Rate(best.per_second, best.cpu_ms, {"by_processes": by})

    def _once(self, modules: Path, sink: Sink, n: int, nodes: int) -> Rate:
        with tempfile.TemporaryDirectory(prefix="bench-haraka-") as text:
            folder = Path(text)
            with _running(folder, modules, sink, nodes) as (port, server):
                through(port, sink, 200, CONNECTIONS, folder, [server])
                return through(port, sink, n, CONNECTIONS, folder, [server])


@contextlib.contextmanager
def _running(folder: Path, modules: Path, sink: Sink, nodes: int) -> Iterator[tuple[int, int]]:
    from reputation import signing

    port = free_port()
    shutil.copytree(modules / "Haraka" / "config", folder / "config")
    known = {"port": port, "nodes": nodes, "connections": CONNECTIONS, "domain": DOMAIN}
    files = {f"config/{name}": text.format(**known) for name, text in CONFIG.items()}
    files["plugins/everything.js"] = PLUGIN % sink.ports.smtp
    files[f"config/dkim/{DOMAIN}/selector"] = "bench"
    files[f"config/dkim/{DOMAIN}/private"] = signing.generate(signing.Algorithm.RSA).private_pem.decode()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "queue").mkdir()
    (folder / "node_modules").symlink_to(modules)
    command = ["node", str(modules / "Haraka" / "bin" / "haraka"), "-c", str(folder)]
    with running(Process(command, os.environ, folder / "haraka.log")) as process:
        until(lambda: answers(port), 30, "Haraka listens", of=process)
        yield port, process.pid


def _installed() -> Path:
    """The modules' folder, installed at the first use."""
    folder = cache("haraka")
    modules = folder / "node_modules"
    if not (modules / "haraka-plugin-dkim").exists():
        (folder / "package.json").write_text("{}")
        output_of(
            ["npm", "install", "--prefix", str(folder), "--omit=optional", "--ignore-scripts", *PACKAGES]
        )
    return modules
