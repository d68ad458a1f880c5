"""A relay that does as little as a relay can: `python -m bench.loopback_relay` prints its url and runs until killed.

What lives here: routing EVENTs to subscriptions by kind, author and p tag, and an OK for each. What does not: storage,
limits, and verification. It believes everything, so that a benchmark of the bot is not one of a relay.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.utils import accept_key

from bench.frames import FrameReader, Opcode, write_frame
from bench.house import run

HANDSHAKE = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


@dataclass(frozen=True, slots=True)
class Interest:
    """One filter; None asks for everything."""

    kinds: frozenset[int] | None
    authors: frozenset[str] | None
    p_tags: frozenset[str] | None

    @classmethod
    def read(cls, plain: dict[str, Any]) -> "Interest":
        """The filter of a REQ; ids and times are not looked at, for nothing is stored."""
        sets = [frozenset(plain[name]) if name in plain else None for name in ("kinds", "authors", "#p")]
        return cls(*sets)

    def matches(self, event: dict[str, Any]) -> bool:
        """Whether the event is asked for."""
        return (
            (self.kinds is None or event["kind"] in self.kinds)
            and (self.authors is None or event["pubkey"] in self.authors)
            and (self.p_tags is None or any(tag[0] == "p" and tag[1] in self.p_tags for tag in event["tags"]))
        )


@dataclass(slots=True)
class Relay:
    """Who is connected."""

    clients: "set[Client]" = field(default_factory=set)

    def route(self, message: bytes, event: dict[str, Any]) -> None:
        """Hand an EVENT on as it came: all but its first words is already what subscribers get."""
        tail = message[len(b'["EVENT",') :]
        for client in self.clients:
            for prefix, interests in client.subscriptions.values():
                if any(interest.matches(event) for interest in interests):
                    client.send(prefix + tail)


class Client(asyncio.Protocol):
    """One connection. What is to be sent waits until the input at hand is worked off, then goes in one write."""

    def __init__(self, relay: Relay) -> None:
        self.subscriptions: dict[str, tuple[bytes, list[Interest]]] = {}
        self._relay = relay
        self._frames = FrameReader()
        self._request: bytes | None = b""  # None once the handshake is done
        self._unsent: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        """Wait for the handshake."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._relay.clients.discard(self)

    def data_received(self, data: bytes) -> None:
        """Work off whatever came."""
        if self._request is not None:
            self._shake_hands(data)
            return
        for opcode, payload in self._frames.feed(data):
            if opcode == Opcode.TEXT:
                self._take(payload)
            elif opcode == Opcode.PING:
                self._unsent.append(write_frame(payload, Opcode.PONG))
            elif opcode == Opcode.CLOSE:
                self._unsent.append(write_frame(payload, Opcode.CLOSE))
        for client in self._relay.clients:
            client.flush()

    def send(self, message: bytes) -> None:
        """Queue a message."""
        self._unsent.append(write_frame(message))

    def flush(self) -> None:
        """Write what is queued."""
        if self._unsent:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _shake_hands(self, data: bytes) -> None:
        assert self._request is not None
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            headers = dict(line.split(": ", 1) for line in self._request.decode().split("\r\n") if ": " in line)
            self._request = None
            self._transport.write(f"{HANDSHAKE}{accept_key(headers['Sec-WebSocket-Key'])}\r\n\r\n".encode())
            self._relay.clients.add(self)

    def _take(self, message: bytes) -> None:
        verb, *rest = orjson.loads(message)
        if verb == "EVENT":
            event = rest[0]
            self.send(b'["OK","%s",true,""]' % event["id"].encode())
            self._relay.route(message, event)
        elif verb == "REQ":
            name, *filters = rest
            prefix = b'["EVENT",%s,' % orjson.dumps(name)
            self.subscriptions[name] = (prefix, [Interest.read(plain) for plain in filters])
            self.send(orjson.dumps(["EOSE", name]))
        elif verb == "CLOSE":
            self.subscriptions.pop(rest[0], None)


async def serve() -> None:
    """Listen on a free port of 127.0.0.1, print the url, and go on for ever."""
    relay = Relay()
    server = await asyncio.get_running_loop().create_server(lambda: Client(relay), "127.0.0.1", 0)
    print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run(serve())
