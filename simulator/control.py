"""A door for scripts: one JSON object per line in, one per line out.

    {"latency_ms": 50}                                   how far away to be, for connections made from now on
    {"mood": {"gmail.test": "rate"}}                     every recipient there behaves so; null ends it
    {}                                                   counts only

Each answer holds the counts since the start.
"""

import asyncio
import json
from dataclasses import asdict
from typing import Any

from simulator.world import World


def obey(world: World, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order. Raises KeyError for an unknown word, ValueError or TypeError for a bad value."""
    unknown = order.keys() - {"latency_ms", "mood"}
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    if "latency_ms" in order:
        world.latency = float(order["latency_ms"]) / 1000.0
    for domain, local_part in order.get("mood", {}).items():
        world.set_mood(domain, local_part)
    return asdict(world.stats) | {"talking": len(world.talking), "reports": world.returns.sent}


async def serve(world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection to the door."""
    try:
        while line := await reader.readline():
            writer.write(json.dumps(_answer(world, line)).encode() + b"\n")
            await writer.drain()
    except (OSError, ValueError):
        pass  # the line was longer than the reader's limit, or the peer is gone
    finally:
        writer.close()


def _answer(world: World, line: bytes) -> dict[str, Any]:
    try:
        return obey(world, json.loads(line))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
