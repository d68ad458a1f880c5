"""People and machines as the bot meets them: a nostr-sdk key, a websocket, and nothing of nostrbot's own.

What lives here: signing, both encryptions, and one line to one relay. What does not: what is said and what must come
back (the tests), processes (house.py).
"""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import nostr_sdk
from websockets.sync.client import connect

Plain = dict[str, Any]  # JSON objects: events, settlements, answers

ANSWER_MAX_S = 10.0
AUTH_KIND = 22_242
DM_KIND = 4
SETTLEMENT_KIND = 21_000
CHAT_KIND, WRAP_KIND = 14, 1_059
STATE_KIND, TELEMETRY_KIND = 30_078, 30_079


def encryption_of(content: str) -> str:
    """How a content looks encrypted, by its shape alone."""
    if content.lstrip().startswith("{"):
        return "plain"
    return "nip04" if "?iv=" in content else "nip44"


class Person:
    """Somebody with a key. Remembers what it ever said, so that a test can look for it where it must not be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys = nostr_sdk.Keys.generate()
        self.pubkey = self.keys.public_key().to_hex()
        self.npub = self.keys.public_key().to_bech32()
        self.said: list[str] = []

    @property
    def secrets(self) -> tuple[str, str]:
        """The secret key in both its forms."""
        return self.keys.secret_key().to_bech32(), self.keys.secret_key().to_hex()

    def sign(
        self, kind: int, content: str, tags: list[list[str]] | None = None, created_at: int | None = None
    ) -> Plain:
        """A signed event as JSON has it."""
        moment = nostr_sdk.Timestamp.from_secs(int(time.time()) if created_at is None else created_at)
        builder = nostr_sdk.EventBuilder(nostr_sdk.Kind(kind), content)
        builder = builder.tags([nostr_sdk.Tag.parse(tag) for tag in tags or []])
        event: Plain = json.loads(builder.custom_created_at(moment).finalize(self.keys).as_json())
        return event

    def seal(self, to: str, text: str, scheme: str) -> str:
        """Encrypt to a public key (hex)."""
        self.said.append(text)
        secret, peer = self.keys.secret_key(), nostr_sdk.PublicKey.parse(to)
        if scheme == "nip04":
            return nostr_sdk.nip04_encrypt(secret, peer, text)
        if scheme == "nip44":
            return nostr_sdk.nip44_encrypt(secret, peer, text, nostr_sdk.Nip44Version.V2)
        assert scheme == "plain"
        return text

    def unseal(self, by: str, content: str) -> str:
        """Decrypt what `by` (hex) sent."""
        secret, peer = self.keys.secret_key(), nostr_sdk.PublicKey.parse(by)
        if encryption_of(content) == "nip04":
            return nostr_sdk.nip04_decrypt(secret, peer, content)
        if encryption_of(content) == "nip44":
            return nostr_sdk.nip44_decrypt(secret, peer, content)
        return content

    def command(self, bot: str, text: str, *, scheme: str = "nip04", created_at: int | None = None) -> Plain:
        """A command for the bot, ready to publish."""
        return self.sign(DM_KIND, self.seal(bot, text, scheme), [["p", bot]], created_at)

    def whisper(self, bot: str, text: str) -> tuple[Plain, str]:
        """A command for the bot in a gift wrap (NIP-17), and the id of the message in it, which an answer names."""
        self.said.append(text)
        parts = {
            "pubkey": self.pubkey,
            "created_at": int(time.time()),
            "kind": CHAT_KIND,
            "tags": [["p", bot], ["nonce", secrets.token_hex(4)]],  # said twice in a second, it is said twice
            "content": text,
        }
        rumor = nostr_sdk.UnsignedEvent.from_json(json.dumps(parts)).ensure_id()
        wrap = nostr_sdk.nip59_make_gift_wrap(self.keys, nostr_sdk.PublicKey.parse(bot), rumor)
        rumor_id = rumor.id()
        assert rumor_id is not None
        return json.loads(wrap.as_json()), rumor_id.to_hex()

    def state(
        self,
        bot: str,
        subject: str,
        content: Plain,
        *,
        scheme: str = "plain",
        kind: int = STATE_KIND,
        created_at: int | None = None,
    ) -> Plain:
        """An addressable event of a machine about itself: a beacon, its cassettes, its telemetry."""
        sealed = self.seal(bot, json.dumps(content), scheme)
        return self.sign(kind, sealed, [["d", f"{subject}:{self.pubkey}"], ["p", bot]], created_at)

    def report(self, bot: str, sale: Plain | str, *, scheme: str = "nip44", created_at: int | None = None) -> Plain:
        """A settlement for the bot, ready to publish. A text is sent as it is."""
        text = sale if isinstance(sale, str) else json.dumps(sale)
        return self.sign(SETTLEMENT_KIND, self.seal(bot, text, scheme), [["p", bot]], created_at)

    def write_key(self, folder: Path) -> Path:
        """A key file as the command line wants it."""
        path = folder / f"{self.name}.nsec"
        path.write_text(self.secrets[0] + "\n")
        path.chmod(0o600)
        return path


@dataclass(frozen=True)
class Heard:
    """One event of the bot, verified by nostr-sdk, and what it says to us."""

    event: Plain
    text: str
    rumor: Plain | None = None  # of a gift wrap

    @property
    def kind(self) -> int:
        return int(self.event["kind"])

    @property
    def scheme(self) -> str:
        return encryption_of(self.event["content"])

    @property
    def answers(self) -> str | None:
        """The id of the event it answers."""
        tags = (self.rumor or self.event)["tags"]
        return next((tag[1] for tag in tags if tag[0] == "e"), None)

    @property
    def subject(self) -> str | None:
        """The d tag of an addressable event."""
        return next((tag[1] for tag in self.event["tags"] if tag[0] == "d"), None)

    @property
    def json(self) -> Any:
        """What it says, as JSON; a float anywhere is a fault."""
        return json.loads(self.text, parse_float=_no_float)


def _no_float(text: str) -> float:
    raise AssertionError(f"the bot said a float: {text}")


@dataclass
class Line:
    """One person's connection to one relay, listening for what the bot has for it. Close it, or use it in a `with`."""

    person: Person
    bot: str
    url: str
    heard: list[Heard] = field(default_factory=list)
    sent: list[Plain] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(self.url, compression=None, max_size=None, open_timeout=10, close_timeout=0.2, ping_interval=None)
        )
        self._verdicts: dict[str, tuple[bool, str]] = {}
        self._is_listening = False
        self._listen()
        self.wait(lambda: self._is_listening)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def _listen(self) -> None:
        kinds = [DM_KIND, SETTLEMENT_KIND, STATE_KIND]
        wanted = {"kinds": kinds, "authors": [self.bot], "#p": [self.person.pubkey]}
        wraps = {"kinds": [WRAP_KIND], "#p": [self.person.pubkey]}
        self._socket.send(json.dumps(["REQ", "mine", wanted, wraps]))

    def _take(self, frame: str) -> None:
        match json.loads(frame):
            case ["EVENT", "mine", event]:
                sound = nostr_sdk.Event.from_json(json.dumps(event))
                assert sound.verify(), "the bot's own events must be sound"
                if event["kind"] == WRAP_KIND:
                    gift = nostr_sdk.UnwrappedGift.from_gift_wrap(self.person.keys, sound)
                    assert gift.sender().to_hex() == self.bot
                    rumor = json.loads(gift.rumor().as_json())
                    self.heard.append(Heard(event, rumor["content"], rumor))
                else:
                    assert event["pubkey"] == self.bot
                    self.heard.append(Heard(event, self.person.unseal(self.bot, event["content"])))
            case ["OK", event_id, accepted, message]:
                self._verdicts[event_id] = (accepted, message)
            case ["EOSE", "mine"]:
                self._is_listening = True
            case ["AUTH", challenge]:
                proof = self.person.sign(AUTH_KIND, "", [["relay", self.url], ["challenge", challenge]])
                self._socket.send(json.dumps(["AUTH", proof]))
                self._listen()

    def wait(self, condition: Callable[[], Any], timeout_s: float = ANSWER_MAX_S) -> Any:
        """Read until the condition holds; returns what it gave. Fails when it never does."""
        deadline = time.monotonic() + timeout_s
        while not (outcome := condition()):
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"{self.person.name} waited in vain; heard last: {[one.text for one in self.heard[-3:]]}"
            try:
                self._take(str(self._socket.recv(timeout=left_s)))
            except TimeoutError:
                continue
        return outcome

    def _send(self, event: Plain) -> None:
        self.sent.append(event)
        self._socket.send(json.dumps(["EVENT", event]))

    def publish(self, *events: Plain) -> None:
        """Send events and wait until the relay has taken each of them."""
        for event in events:
            self._send(event)
        for event in events:
            accepted, message = self.wait(lambda event=event: self._verdicts.get(event["id"]))
            assert accepted or "duplicate" in message, message

    def offer(self, event: Plain) -> None:
        """Send an event and wait for the relay's verdict, whatever it is."""
        self._send(event)
        self.wait(lambda: event["id"] in self._verdicts)

    def answers_to(self, event_id: str) -> list[Heard]:
        """What was heard about one of our events so far."""
        return [one for one in self.heard if one.answers == event_id]

    def hear(self, event_id: str, count: int = 1, timeout_s: float = ANSWER_MAX_S) -> Heard:
        """Wait for the count-th answer to an event."""
        return self.wait(lambda: self.answers_to(event_id)[count - 1 :], timeout_s)[0]

    def say(self, event: Plain, timeout_s: float = ANSWER_MAX_S) -> Heard:
        """Publish an event and wait for one more answer to it than there was."""
        count = len(self.answers_to(event["id"]))
        self._send(event)
        return self.hear(event["id"], count + 1, timeout_s)

    def repeat(self, event: Plain, every_s: float = 0.3) -> Heard:
        """Publish an event again and again until it is answered, as a machine does."""
        deadline = time.monotonic() + ANSWER_MAX_S
        while True:
            self.publish(event)
            try:
                return self.hear(event["id"], timeout_s=every_s)
            except AssertionError:
                assert time.monotonic() < deadline, "no answer, however often it was said"

    # --- the ways people talk to the bot ---

    def ask(self, text: str, *, scheme: str = "nip04") -> str:
        """A command and its answer, as plain text."""
        return self.say(self.person.command(self.bot, text, scheme=scheme)).text

    def whisper(self, text: str) -> Heard:
        """A command in a gift wrap, and its answer."""
        wrap, message_id = self.person.whisper(self.bot, text)
        self._send(wrap)
        return self.hear(message_id)

    def ask_json(self, text: str) -> Plain:
        """A command with --json, and the whole object of its answer."""
        return self.say(self.person.command(self.bot, f"{text} --json")).json

    def data(self, text: str) -> Any:
        """A command that must be obeyed, and the data of its answer."""
        answer = self.ask_json(text)
        assert answer["ok"] is True, answer
        return answer["data"]

    def refused(self, text: str) -> str:
        """A command that must be refused, and the code it is refused with."""
        answer = self.ask_json(text)
        assert set(answer) == {"ok", "command", "error"}, answer
        assert answer["ok"] is False
        assert set(answer["error"]) == {"code", "message"}
        return str(answer["error"]["code"])

    def repeat_until_ok(self, text: str) -> Any:
        """A command said anew every second until it is obeyed, and the data of its answer."""
        deadline = time.monotonic() + 3 * ANSWER_MAX_S
        while time.monotonic() < deadline:
            event = self.person.command(self.bot, f"{text} --json")
            self.publish(event)
            try:
                answer = self.hear(event["id"], timeout_s=1.0).json
            except AssertionError:
                continue  # not answered at all: too much was asked
            if answer["ok"]:
                return answer["data"]
        raise AssertionError(f"never obeyed: {text}")

    def settle(self, sale: Plain | str, *, scheme: str = "nip44") -> Plain:
        """A settlement and its ack."""
        return self.say(self.person.report(self.bot, sale, scheme=scheme)).json

    @property
    def receipts(self) -> list[Heard]:
        """Direct messages that answer nothing: the bot sent them by itself."""
        return [one for one in self.heard if one.kind in (DM_KIND, WRAP_KIND) and one.answers is None]
