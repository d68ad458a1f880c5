"""Memory: whatever is too large is refused before it is taken apart, at a cost that does not grow with it (faults.md row 28)."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.payloads.beacon import read_beacon, read_telemetry
from nostrbot.core.atm.payloads.cassette_state import read_statement
from nostrbot.core.atm.payloads.sale import read_settlement
from nostrbot.core.commands.command import Misunderstood
from nostrbot.core.parsing import parse
from nostrbot.errors import ConfigError, TrailError
from nostrbot.home.config import RELAYS_BYTES_MAX, read_relays
from nostrbot.home.keyfile import read_key_file
from nostrbot.nostr.event import read_event
from nostrbot.nostr.giftwrap import read_rumor
from nostrbot.nostr.messages import FRAME_MAX_BYTES, EventMessage, read_message
from nostrbot.nostr.sealing import CONTENT_MAX_CHARS, TEXT_MAX_BYTES, Envelope
from nostrbot.refusals import Refusal
from tests.fuzz.spoiling import written
from tests.houses import BOT, House, person, sale

KIB, MIB = 1024, 1024 * 1024
REFUSED_BYTES = 4 * KIB  # what it may cost to refuse something for its size
READ_BYTES = 6 * MIB  # what it may cost to take apart the worst that a cap allows
EVENT = {
    "id": "0" * 64,
    "pubkey": person("m1").pubkey,
    "created_at": 1,
    "kind": 21_000,
    "tags": [],
    "content": "",
    "sig": "0" * 128,
}
# Far above every cap, and as large as a cap allows; each of the shapes that cost a reader most.
LARGE: dict[str, str] = {
    "10 MB": "x" * 10 * MIB,
    "a million tags": "[" + '["p"],' * 1_000_000 + '["p"]]',
    "depth 10,000": "[" * 10_000 + "]" * 10_000,
    "depth 10,000,000": "[" * 10_000_000,
    "objects 10,000 deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "a number of a million digits": "9" * 1_000_000,
    "60,000 brackets": "[" * 30_000 + "]" * 30_000,
    "tags as many as fit": '["EVENT","s",' + written(EVENT | {"tags": [["p"]] * 10_500}) + "]",
    "keys as many as fit": '["EVENT","s",{' + ",".join(f'"{n}":{n}' for n in range(5_000)) + "}]",
    "one key as often as fits": '["EVENT","s",{' + ",".join('"a":1' for _ in range(10_000)) + "}]",
    "escapes": '["NOTICE","' + "\\u0000" * 10_000 + '"]',
}
SIZES = pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)


def peak_bytes(act: Callable[[], Any]) -> int:
    """The most memory of Python's that was in use at once while something ran, above what was in use before."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_frame(frame: bytes) -> Any:
    """What a session does with a frame."""
    message = read_message(frame)
    return read_event(message.obj) if isinstance(message, EventMessage) else message


@SIZES
def test_a_frame(text: str) -> None:
    """Above 65,536 bytes nothing is parsed; below, there is a bound to what parsing can cost."""
    frame = text.encode()
    assert peak_bytes(lambda: read_frame(frame)) < (REFUSED_BYTES if len(frame) > FRAME_MAX_BYTES else READ_BYTES)


@SIZES
@pytest.mark.parametrize("read", [read_settlement, read_statement, read_beacon, read_telemetry, read_rumor])
def test_a_text_that_was_encrypted(read: Callable[[str], Any], text: str) -> None:
    """Each reader of what a party encrypted has a cap of its own, whatever came through before it."""
    assert peak_bytes(lambda: read(text)) < (REFUSED_BYTES if len(text) > TEXT_MAX_BYTES else READ_BYTES)
    assert isinstance(read(text), Refusal)


@SIZES
@pytest.mark.parametrize("end", ["", "?iv=AAAAAAAAAAAAAAAAAAAAAA=="])
def test_a_content(text: str, end: str) -> None:
    """A content that is longer than any cipher makes it is not decoded."""
    content, author = text.strip("{[") + end, person("m1").pubkey
    envelope = Envelope(BOT)
    envelope.open_from(author, "")  # the key agreement is remembered
    allowed = REFUSED_BYTES if len(content) > CONTENT_MAX_CHARS else 8 * CONTENT_MAX_CHARS
    assert peak_bytes(lambda: envelope.open_from(author, content)) < allowed


@SIZES
def test_a_command(text: str) -> None:
    """A command has at most 4,096 characters; finding that out costs a few copies of what could be decrypted."""
    said = text[:TEXT_MAX_BYTES]
    assert peak_bytes(lambda: parse(said)) < 8 * TEXT_MAX_BYTES
    assert isinstance(parse(said), Misunderstood)


@SIZES
def test_a_field_of_a_settlement(text: str) -> None:
    """Inside a payload of the right shape it is refused as well."""
    payload = f'{written(sale())[:-1]},"more":{text}' + "}"
    assert peak_bytes(lambda: read_settlement(payload)) < MIB
    assert isinstance(read_settlement(payload), Refusal)


def test_a_relays_file(tmp_path: Path) -> None:
    """Of a file that is too large no more is read than shows that it is."""
    path = tmp_path / "relays.yaml"
    path.write_text("relays: " + LARGE["a million tags"])

    def refuse() -> None:
        with pytest.raises(ConfigError, match=f"larger than {RELAYS_BYTES_MAX} bytes"):
            read_relays(path)

    assert peak_bytes(refuse) < 4 * RELAYS_BYTES_MAX


@SIZES
def test_a_key_file(tmp_path: Path, text: str) -> None:
    """Of a file that is no key file 4 KiB are read."""
    path = tmp_path / "key.nsec"
    path.touch(0o600)
    path.write_text(text)

    def refuse() -> None:
        with pytest.raises(ConfigError):
            read_key_file(path, "passphrase")

    assert peak_bytes(refuse) < 512 * KIB


@SIZES
def test_a_line_of_a_trail(text: str) -> None:
    """A line costs what its own text costs, and a little more: there is no small line that costs much."""
    header = House.open().trail()[0]
    line = text.encode()

    def refuse() -> None:
        with pytest.raises(TrailError):
            verify_trail(io.BytesIO(header + b"\n" + line + b"\n"))

    assert peak_bytes(refuse) < 60 * len(line) + 2 * MIB
