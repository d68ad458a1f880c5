"""A relay of our own that does what real ones never admit to.

Left alone it is honest: it keeps every event, answers REQs newest first, passes live events on, and says OK. Each vice is
an attribute to set or a method to call. It verifies nothing, so it will pass on any lie it is given.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Plain = dict[str, Any]  # an event, or a filter, as JSON has it


def matches(event: Plain, condition: Plain) -> bool:
    """Whether an event is what a filter asks for; written apart from our own, so that they check each other."""
    tagged = {tag[1] for tag in event["tags"] if tag[0] == "p" and len(tag) > 1}
    return (
        event["kind"] in condition.get("kinds", [event["kind"]])
        and event["pubkey"] in condition.get("authors", [event["pubkey"]])
        and event["id"] in condition.get("ids", [event["id"]])
        and ("#p" not in condition or bool(tagged & set(condition["#p"])))
        and condition.get("since", 0) <= event["created_at"] <= condition.get("until", 2**53)
    )


def ok_frames(event: Plain) -> list[str]:
    """The honest answer to an EVENT."""
    return [json.dumps(["OK", event["id"], True, ""])]


def closed(words: str | None) -> Callable[[str], list[str]]:
    """CLOSED with these words, or without any."""
    return lambda name: [json.dumps(["CLOSED", name] if words is None else ["CLOSED", name, words])]


def notice(words: str) -> Callable[[str], list[str]]:
    """A NOTICE; `{}` in it stands for the subscription's id."""
    return lambda name: [json.dumps(["NOTICE", words.replace("{}", name)])]


# Every form in which a relay does not serve a REQ: what it says then. None: it hangs up.
REFUSALS: dict[str, Callable[[str], list[str]] | None] = {
    "error": closed("error: could not connect to the database"),
    "rate-limited": closed("rate-limited: too many REQs"),
    "auth-required": closed("auth-required: we only serve our members"),  # and never says a challenge
    "restricted": closed("restricted: not for you"),
    "unsupported": closed("unsupported: filter contains unknown elements"),
    "blocked": closed("blocked: max_subscriptions is 2"),
    "invalid": closed("invalid: too many filters"),
    "no prefix": closed("go away"),
    "no words": closed(None),
    "tricks": closed("error: \u202e\x1b[2J\r\n" + "x" * 5_000),
    "a notice": notice("ERROR: bad req: too many subscriptions"),
    "a notice that names it": notice("too many concurrent REQs: {} was not opened"),
    "a rate-limited notice": notice("rate-limited: slow down"),
    "an empty notice": notice(""),
    "silence": lambda _: [],
    "a hang-up": None,
}


@dataclass
class HostileRelay:
    """The relay and its vices."""

    url: str = ""
    events: list[Plain] = field(default_factory=list)

    # --- vices ---
    greeting: Iterable[str | bytes] = ()  # said on connecting
    date_ahead_s: int | None = 0  # how far ahead its clock is, in the date of the handshake; None: it says no date
    page_cap: int = 500  # events a REQ gets at most
    says_eose: bool = True
    refuses_connections: bool = False
    hangs_up_on_event: bool = False
    takes: Callable[[list[str], list[Plain]], bool] = lambda _open, _filters: True  # whether a REQ is served
    refusal: Callable[[str], list[str]] | None = REFUSALS["error"]  # subscription id -> frames to one that is not
    eose_replies: Callable[[str], list[str]] | None = None  # subscription id -> frames instead of a stored page
    event_replies: Callable[[Plain], list[str]] = ok_frames  # EVENT -> frames

    # --- what was seen ---
    connection_count: int = 0
    requests: list[list[Any]] = field(default_factory=list)  # each REQ: [id, filter, ...]
    refused: list[str] = field(default_factory=list)  # subscription ids of REQs that were not served
    closed: list[str] = field(default_factory=list)  # subscription ids the client ended
    published: list[Plain] = field(default_factory=list)
    auths: list[Plain] = field(default_factory=list)
    sockets: dict[ServerConnection, dict[str, list[Plain]]] = field(default_factory=dict)  # -> open subscriptions

    async def say(self, *frames: str | bytes) -> None:
        """Send raw frames to everyone connected."""
        for socket in list(self.sockets):
            for frame in frames:
                await socket.send(frame)

    async def publish(self, *events: Plain) -> None:
        """Send events to the open subscriptions that they match, as an honest relay does."""
        for socket, subscriptions in list(self.sockets.items()):
            for name, filters in list(subscriptions.items()):
                for event in events:
                    if any(matches(event, one) for one in filters):
                        await socket.send(json.dumps(["EVENT", name, event], separators=(",", ":")))

    async def drop(self, *names: str, words: str | None) -> None:
        """End subscriptions that were served; with None without a word."""
        for socket, subscriptions in list(self.sockets.items()):
            for name in names or list(subscriptions):
                if subscriptions.pop(name, None) is not None and words is not None:
                    await socket.send(json.dumps(["CLOSED", name, words]))

    async def pass_on(self, *events: Plain, times: int = 1) -> None:
        """Send events to every open subscription, whether they match or not."""
        for socket, subscriptions in list(self.sockets.items()):
            for subscription_id in list(subscriptions):
                for event in events:
                    frame = json.dumps(["EVENT", subscription_id, event], separators=(",", ":"))
                    for _ in range(times):
                        await socket.send(frame)

    def freeze(self) -> None:
        """Half-open: the TCP connections stay up, but nothing is read or answered any more, not even pings."""
        for socket in self.sockets:
            socket.transport.pause_reading()

    def hang_up(self) -> None:
        """Cut all connections without a closing handshake."""
        for socket in list(self.sockets):
            socket.transport.abort()

    def date(self, _socket: ServerConnection, _request: Request, response: Response) -> None:
        """Say the time, as it is here."""
        del response.headers["Date"]
        if self.date_ahead_s is not None:
            response.headers["Date"] = formatdate(time.time() + self.date_ahead_s, usegmt=True)

    async def _serve(self, socket: ServerConnection) -> None:
        if self.refuses_connections:
            socket.transport.abort()
            return
        self.connection_count += 1
        self.sockets[socket] = {}
        try:
            for frame in self.greeting:
                await socket.send(frame)
            async for frame in socket:
                await self._answer(socket, json.loads(frame))
        except ConnectionClosed:
            return  # as clients do
        finally:
            del self.sockets[socket]

    async def _answer(self, socket: ServerConnection, message: list[Any]) -> None:
        match message:
            case ["REQ", str(subscription_id), *filters]:
                self.requests.append([subscription_id, *filters])
                others = [name for name in self.sockets[socket] if name != subscription_id]
                if not self.takes(others, filters):
                    self.sockets[socket].pop(subscription_id, None)
                    self.refused.append(subscription_id)
                    for frame in self.refusal(subscription_id) if self.refusal is not None else ():
                        await socket.send(frame)
                    if self.refusal is None:
                        socket.transport.abort()
                    return
                self.sockets[socket][subscription_id] = filters
                await self._send_stored(socket, subscription_id, filters)
            case ["CLOSE", str(subscription_id)]:
                self.closed.append(subscription_id)
                self.sockets[socket].pop(subscription_id, None)
            case ["EVENT", dict(event)]:
                self.published.append(event)
                if self.hangs_up_on_event:
                    socket.transport.abort()
                    return
                for frame in self.event_replies(event):
                    await socket.send(frame)
            case ["AUTH", dict(event)]:
                self.auths.append(event)
                await socket.send(json.dumps(["OK", event["id"], True, ""]))

    async def _send_stored(self, socket: ServerConnection, subscription_id: str, filters: list[Plain]) -> None:
        if self.eose_replies is not None:
            for frame in self.eose_replies(subscription_id):
                await socket.send(frame)
            return
        ordered = sorted(self.events, key=lambda event: (-event["created_at"], event["id"]))
        chosen: dict[str, Plain] = {}
        for one in filters:  # each has its own limit
            fitting = [event for event in ordered if matches(event, one)]
            chosen |= {event["id"]: event for event in fitting[: one.get("limit", self.page_cap)]}
        found = [event for event in ordered if event["id"] in chosen]
        for event in found[: self.page_cap]:
            await socket.send(json.dumps(["EVENT", subscription_id, event], separators=(",", ":")))
        if self.says_eose:
            await socket.send(json.dumps(["EOSE", subscription_id]))


@asynccontextmanager
async def hostile_relay(**vices: Any) -> AsyncIterator[HostileRelay]:
    """Runs a hostile relay on a free port of 127.0.0.1."""
    relay = HostileRelay(**vices)
    async with serve(
        relay._serve,
        "127.0.0.1",
        0,
        compression=None,
        ping_interval=None,
        max_size=None,
        process_response=relay.date,
    ) as server:
        relay.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        try:
            yield relay
        finally:
            relay.hang_up()
            await asyncio.sleep(0)
