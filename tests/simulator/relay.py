"""A relay of the world: it keeps and hands on, and sometimes forgets, delays, repeats, hides and lies.

What lives here: one relay's store, its subscriptions and its vices. What does not: the sockets (wire.py) and what people
publish (people.py). Relays see nothing but frames, as real ones do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Protocol

import orjson

from nostrbot.nostr import kinds
from nostrbot.nostr.event import event_id, sign_event
from tests.houses import person

Plain = dict[str, Any]
LIMITED = 0.25  # of all relays refuse subscriptions
FRAMES_KEPT = 200  # from which a relay that replays chooses


class Line(Protocol):
    """A connection, as a relay has it."""

    def send(self, frame: bytes) -> None:
        """One frame to the other side."""

    def abort(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Vices:
    """How often a relay does what it should not, each from 0 to 1."""

    drop: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    lie: float = 0.0
    replay: float = 0.0
    withhold: float = 0.0
    refuse: float = 0.0
    deaf: float = 0.0  # takes an event and never says OK

    @classmethod
    def draw(cls, rng: Random) -> "Vices":
        """Some relays are good, some have a vice or two, some have all."""
        names = ("drop", "twice", "late", "lie", "replay", "withhold", "refuse", "deaf")
        chosen = rng.sample(names, rng.choice((0, 1, 2, 3, len(names))))
        return cls(**{name: rng.choice((0.05, 0.2, 0.5)) for name in chosen})


@dataclass(frozen=True)
class Limit:
    """A relay that takes so many subscriptions of a connection; `form`: how it refuses the next one."""

    most: int
    form: str

    @classmethod
    def draw(cls, rng: Random) -> "Limit | None":
        """Most relays take as many as the bot has."""
        forms = ("notice", "closed", "rate-limited", "bare", "silence", "hang up")
        return cls(rng.choice((0, 1, 1, 2, 3)), rng.choice(forms)) if rng.random() < LIMITED else None

    def refusal(self, name: str) -> bytes | None:
        """The frame that refuses a subscription; None where nothing is said."""
        words: dict[str, list[str]] = {
            "notice": ["NOTICE", "ERROR: bad req: too many subscriptions"],
            "closed": ["CLOSED", name, "error: too many concurrent REQs"],
            "rate-limited": ["CLOSED", name, "rate-limited: slow down there chief"],
            "bare": ["CLOSED", name],
        }
        return orjson.dumps(words[self.form]) if self.form in words else None


@dataclass
class Relay:
    """One relay. `heard` is told of each event it takes from the bot."""

    url: str
    rng: Random
    vices: Vices
    heard: Callable[[str, Plain], None]
    limit: Limit | None = None
    is_away: bool = False
    stored: dict[str, Plain] = field(default_factory=dict)
    sessions: dict[Line, dict[str, list[Plain]]] = field(default_factory=dict)
    _withheld: list[tuple[Line, bytes]] = field(default_factory=list)
    _said: list[bytes] = field(default_factory=list)

    def lag_s(self) -> float:
        """How long a frame takes."""
        return self.rng.choice((0.0, 0.0, 0.001, 0.01, 0.05))

    def _does(self, vice: str) -> bool:
        likely = getattr(self.vices, vice)
        return bool(likely) and self.rng.random() < likely

    # --- connections ------------------------------------------------------------------------------------------------

    def meet(self, line: Line) -> None:
        """Somebody connected."""
        self.sessions[line] = {}

    def gone(self, line: Line) -> None:
        """And left."""
        self.sessions.pop(line, None)

    def hang_up(self) -> None:
        """On everybody."""
        for line in list(self.sessions):
            line.abort()

    # --- what it is told --------------------------------------------------------------------------------------------

    def hear(self, line: Line, frame: bytes) -> None:
        """A frame of the bot's."""
        if line not in self.sessions:
            return
        match orjson.loads(frame):
            case ["REQ", name, *_] if self._is_full(line, name):
                self._refuse(line, name)
            case ["REQ", name, *filters]:
                self.sessions[line][name] = filters
                for event in self._matching(filters):
                    self._say(line, name, event)
                line.send(orjson.dumps(["EOSE", name]))
            case ["CLOSE", name]:
                self.sessions[line].pop(name, None)
            case ["EVENT", event]:
                self._hear_event(line, event)

    def _is_full(self, line: Line, name: str) -> bool:
        taken = self.sessions[line]
        return self.limit is not None and name not in taken and len(taken) >= self.limit.most

    def _refuse(self, line: Line, name: str) -> None:
        assert self.limit is not None, "a relay without a limit refuses nothing"
        frame = self.limit.refusal(name)
        if frame is not None:
            line.send(frame)
        elif self.limit.form == "hang up":
            line.abort()

    def _hear_event(self, line: Line, event: Plain) -> None:
        if self._does("refuse"):
            word = self.rng.choice(("error: try again", "rate-limited: slow down", "blocked: not today"))
            line.send(orjson.dumps(["OK", event["id"], False, word]))
            return
        self.heard(self.url, event)
        is_new = self.take(event)
        if not self._does("deaf"):
            line.send(orjson.dumps(["OK", event["id"], True, "" if is_new else "duplicate: I have it"]))

    def take(self, event: Plain) -> bool:
        """Keep an event and hand it on; False for one that is kept already."""
        if event["id"] in self.stored:
            return False
        if not 20_000 <= event["kind"] < 30_000:
            self._keep(event)
        for line, subscriptions in list(self.sessions.items()):
            for name, filters in subscriptions.items():
                if not name.endswith("/past") and any(_matches(one, event) for one in filters):
                    self._hand_on(line, name, event)
        return True

    def _keep(self, event: Plain) -> None:
        if 30_000 <= event["kind"] < 40_000:
            place = _address(event)
            for other in [
                one for one in self.stored.values() if one["kind"] == event["kind"] and _address(one) == place
            ]:
                if (other["created_at"], event["id"]) >= (event["created_at"], other["id"]):
                    return
                del self.stored[other["id"]]
        self.stored[event["id"]] = event

    def _matching(self, filters: list[Plain]) -> list[Plain]:
        found: dict[str, Plain] = {}
        for one in filters:
            mine = [event for event in self.stored.values() if _matches(one, event)]
            mine.sort(key=lambda event: (-event["created_at"], event["id"]))
            found |= {event["id"]: event for event in mine[: one.get("limit", len(mine))]}
        return sorted(found.values(), key=lambda event: (-event["created_at"], event["id"]))

    # --- what it says -----------------------------------------------------------------------------------------------

    def _hand_on(self, line: Line, name: str, event: Plain) -> None:
        if self._does("lie"):
            self._lie(line, name, event)
        if self._does("drop"):
            return
        if self._does("withhold"):
            self._withheld.append((line, _frame(name, event)))
            return
        times = 2 if self._does("twice") else 1
        for _ in range(times):
            if self._does("late"):
                asyncio.get_running_loop().call_later(self.rng.choice((0.1, 1.0, 5.0)), self._say, line, name, event)
            else:
                self._say(line, name, event)
        if self._said and self._does("replay"):
            line.send(self.rng.choice(self._said))

    def _say(self, line: Line, name: str, event: Plain) -> None:
        frame = _frame(name, event)
        self._said.append(frame)
        del self._said[:-FRAMES_KEPT]
        line.send(frame)

    def confess(self) -> None:
        """Hand on what was withheld, to whoever still listens."""
        withheld, self._withheld = self._withheld, []
        for line, frame in withheld:
            if line in self.sessions:
                line.send(frame)

    def replay(self) -> None:
        """Say something again to all who listen."""
        if self._said:
            frame = self.rng.choice(self._said)
            for line in list(self.sessions):
                line.send(frame)

    def reform(self) -> None:
        """Be a good relay from now on; what was withheld comes after all. One that refused begins anew, as after an update."""
        self.vices, self.is_away = Vices(), False
        if self.limit is not None:
            self.limit = None
            self.hang_up()
        self.confess()

    def _lie(self, line: Line, name: str, event: Plain) -> None:
        """Before the truth, so that it might burn a true id."""
        lie = self.rng.choice(LIES)
        line.send(lie(self.rng, name, event))


def _frame(name: str, event: Plain) -> bytes:
    return orjson.dumps(["EVENT", name, event])


def _address(event: Plain) -> tuple[str, str]:
    return event["pubkey"], next((tag[1] for tag in event["tags"] if tag[0] == "d"), "")


def _matches(one: Plain, event: Plain) -> bool:
    """NIP-01, as anybody would write it."""
    return (
        ("ids" not in one or event["id"] in one["ids"])
        and ("kinds" not in one or event["kind"] in one["kinds"])
        and ("authors" not in one or event["pubkey"] in one["authors"])
        and one.get("since", 0) <= event["created_at"] <= one.get("until", event["created_at"])
        and ("#p" not in one or any(tag[0] == "p" and tag[1] in one["#p"] for tag in event["tags"] if len(tag) > 1))
    )


# --- lies: what is sent before the truth --------------------------------------------------------------------------------


def _other_content(rng: Random, name: str, event: Plain) -> bytes:
    return _frame(name, event | {"content": event["content"][::-1]})


def _other_content_own_id(rng: Random, name: str, event: Plain) -> bytes:
    forged = event | {"content": event["content"] + " "}
    fields = (forged[part] for part in ("pubkey", "created_at", "kind", "tags", "content"))
    return _frame(name, forged | {"id": event_id(*fields)})


def _other_signature(rng: Random, name: str, event: Plain) -> bytes:
    return _frame(name, event | {"sig": sha256(event["sig"].encode()).hexdigest() * 2})


def _of_a_stranger(rng: Random, name: str, event: Plain) -> bytes:
    signed = sign_event(
        person("stranger"),
        kind=event["kind"],
        tags=event["tags"],
        content=event["content"],
        created_at=event["created_at"],
    )
    return _frame(name, signed.plain())


def _of_another_kind(rng: Random, name: str, event: Plain) -> bytes:
    signed = sign_event(person("stranger"), kind=kinds.PROFILE, tags=[], content="{}", created_at=event["created_at"])
    return _frame(name, signed.plain())


def _broken_bytes(rng: Random, name: str, event: Plain) -> bytes:
    frame = bytearray(_frame(name, event))
    for _ in range(rng.randint(1, 4)):
        frame[rng.randrange(len(frame))] = rng.randrange(256)
    return bytes(frame[: rng.choice((len(frame), len(frame) // 2))])


def _no_event_at_all(rng: Random, name: str, event: Plain) -> bytes:
    return rng.choice(
        (
            b"",
            b"null",
            b"[" * 900,
            b'["EVENT"]',
            b'["EVENT","commands",{"id":1}]',
            b'["OK","' + b"0" * 64 + b'",true,""]',
            b'["CLOSED","nothing","error: of mine"]',
            b'["NOTICE","\\u0000"]',
            rng.randbytes(rng.randint(1, 200)),
            _frame(name, event).replace(b'"kind":', b'"kind":1,"kind":'),
        )
    )


LIES = (
    _other_content,
    _other_content_own_id,
    _other_signature,
    _of_a_stranger,
    _of_another_kind,
    _broken_bytes,
    _no_event_at_all,
)
