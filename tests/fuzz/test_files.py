"""Files that people hand us, spoilt: trails, relays.yaml, key files, payloads (faults.md rows 28, 53, 86, 90).

Each is read or refused by its own error, in words that repeat no secret; memory does not grow with what is not read.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.inputs import ClockSet
from nostrbot.errors import ConfigError, TrailError
from nostrbot.home.config import RELAYS_BYTES_MAX, parse_relays
from nostrbot.home.keyfile import read_key_file, write_key_file
from nostrbot.journal.entry import GENESIS, Entry, canonical, digest
from nostrbot.nostr.keys import Keys
from tests.e2e.house import nostrbot_here
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import spoilt, spoilt_bytes, spoilt_text, written
from tests.houses import BOT, House, letter, person, wrapped_letter
from tests.machines import statement


def outcome_of(act: Callable[[], Any], error: type[Exception]) -> Any:
    """What was returned, or the error that was raised. Any other one is a failure of the test."""
    try:
        return act()
    except error as raised:
        return raised


# --- trails


def lived() -> House:
    """A house where each kind of input was sealed: commands, sales, a tick, a statement, a gift-wrapped message, one that was
    heard before the time of its entry, and a clock that was set right.
    """
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.say("ana", "mode fixed limit=1000")
    house.sell()
    house.sell(wire_sats=1)
    house.say("operator", "fixed schedule 08:00,20:00")
    house.tick(1_790_042_400)
    house.take(statement(at=house.now, _1=(100, 480)))
    house.now += 1
    house.take(wrapped_letter("operator", 'settlement note s1 "first"', at=house.now))
    house.now += 1_000
    house.take(letter("operator", "alerts low=5", at=house.now - 900)._replace(heard=house.now - 900))
    house.take(ClockSet(house.entries[-1].at, house.entries[-1].at - 900))
    house.now -= 890
    house.say("operator", "alerts low=6")
    assert [set(entry["input"]) - {"event", "plaintext", "keys"} for entry in map(_content, house.entries[-3:])] == [
        {"heard"},
        {"clock"},
        set(),
    ]
    return house


def _content(entry: Entry) -> Any:
    return orjson.loads(entry.body)


LIFE = lived()
TRAIL = LIFE.trail()
ENTRIES = [orjson.loads(line) for line in TRAIL]


def verdict(lines: list[bytes]) -> str | TrailError:
    """The head of a trail that verifies, or what is wrong with it."""
    told = outcome_of(lambda: verify_trail(lines, bot=BOT.pubkey).head, TrailError)
    assert isinstance(told, str) or (0 <= told.seq <= len(lines) and told.field)
    return told


@effort(60)
@given(raw=spoilt_bytes(b"\n".join(TRAIL) + b"\n"))
def test_a_damaged_trail(raw: bytes) -> None:
    """Bits flipped, pieces lost or repeated, cut short: an error that names the entry, or the same head as before.

    A trail may be cut after any entry and is then the trail of an earlier day: only a later checkpoint shows that.
    """
    told = verdict(io.BytesIO(raw).readlines())
    if isinstance(told, str):
        assert told in {entry.hash for entry in LIFE.entries}


@effort(60)
@given(data=st.data(), place=st.integers(0, len(TRAIL) - 1))
def test_a_trail_that_was_sealed_again(data: st.DataObject, place: int) -> None:
    """A forger changes one thing and makes all hashes anew: what verifies has the same events, facts and postings.

    When the bot accepted an input, and what an input in NIP-04 said, is its word alone.
    """
    contents = [*ENTRIES[:place], data.draw(spoilt(ENTRIES[place])), *ENTRIES[place + 1 :]]
    lines = [written(content).encode() for content in contents]
    with contextlib.suppress(ValueError, TypeError, AttributeError):  # nobody makes a hash of what is no object of JSON
        lines = sealed_again([orjson.loads(line) for line in lines])
    told = verdict(lines)
    if isinstance(told, str):
        assert [vouched_for(orjson.loads(line)) for line in lines] == [vouched_for(entry) for entry in ENTRIES]


def sealed_again(contents: list[Any]) -> list[bytes]:
    """The lines of a trail whose every entry has the hash of what it now says, and of the entry before."""
    lines, head = [canonical(contents[0])], GENESIS
    for content in contents[1:]:
        body = {name: value for name, value in content.items() if name != "hash"} | {"prev": head}
        head = digest(canonical(body))
        lines.append(canonical(body | {"hash": head}))
    return lines


def vouched_for(content: Any) -> Any:
    """What of an entry does not rest on the bot's word alone."""
    return [content.get("input", {}).get("event"), content.get("facts"), content.get("postings")]


# --- relays.yaml

RELAYS = """\
relays:
  - url: wss://relay.example.com
    read: true        # subscribe here
    write: true
  - {url: "ws://127.0.0.1:7447/x?key=1", read: false}
publish:
  min_ok: 1
  recipient_relays: true
"""
TAGS = (
    "!!int",
    "!!float",
    "!!bool",
    "!!timestamp",
    "!!binary",
    "!!null",
    "!!set",
    "!!omap",
    "!!python/name:os.system",
    "!x",
)
SCALARS = (
    *('""', "''", "~", "foo", "0b", "0x_", "1:99:-1", "2001-99-99", "9999-12-31t23:59:59+99:99", ".inf", ".nan", "1e400"),
    *('"\\uD800"', '"\\UFFFFFFFF"', "&a [*a]", "*b", "<<: *a", "? [a]", "%YAML 9.9", "--- ", "|", ">-", "\t", "\0"),
    *("[" * 2_000, "{a: " * 2_000, "9" * 5_000, "wss://[::1", "ws://h:99999", "wss://\u202e", "wss://a b", "ws://u:pw@h"),
)  # fmt: skip


@st.composite
def yaml_texts(draw: st.DrawFn) -> bytes:
    """The example with a scalar replaced, a tag put before it, or its text spoilt; sometimes its bytes as well."""
    text = RELAYS
    for _ in range(draw(st.integers(1, 2))):
        scalar = draw(
            st.sampled_from(["true", "1\n", "wss://relay.example.com", "false", "relays", "min_ok", "publish"])
        )
        put = draw(st.sampled_from(SCALARS))
        if draw(st.booleans()):
            put = f"{draw(st.sampled_from(TAGS))} {put}"
        text = text.replace(scalar, put, 1)
    if draw(st.booleans()):
        text = draw(spoilt_text(text))
    raw = text.encode()
    return draw(spoilt_bytes(raw)) if draw(st.integers(0, 3)) == 0 else raw


@effort(150)
@given(raw=yaml_texts())
def test_a_relays_file(raw: bytes) -> None:
    """Settings that can be used, or one line that says what to change."""
    settings = outcome_of(lambda: parse_relays(raw, Path("relays.yaml")), ConfigError)
    if isinstance(settings, ConfigError):
        assert str(settings).startswith("relays.yaml")
        assert len(str(settings).splitlines()) == 1
        assert str(settings).encode()  # it can be shown
    else:
        assert 1 <= settings.min_ok <= sum(relay.write for relay in settings.relays)
        assert all(relay.url.startswith(("ws://", "wss://")) for relay in settings.relays)


def test_a_few_lines_that_stand_for_more_than_there_is() -> None:
    """Aliases and merge keys double what a line stands for; forty such lines are refused at the first."""
    bomb = b"relays: []\na0: &a0 {x: 1}\n"
    bomb += b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 40))
    assert len(bomb) < RELAYS_BYTES_MAX
    with pytest.raises(ConfigError, match="aliases are not understood here"):
        parse_relays(bomb, Path("relays.yaml"))


# --- key files

SECRET = "5e" * 32
KEYS = Keys.from_secret(SECRET)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def key_file(folder: Path, raw: bytes) -> Path:
    path = folder / "key.nsec"
    path.touch(0o600)
    path.write_bytes(raw)
    return path


@effort(200)
@given(raw=st.sampled_from([KEYS.nsec(), SECRET, KEYS.npub]).flatmap(lambda text: spoilt_bytes(text.encode() + b"\n")))
def test_a_key_file(folder: Path, raw: bytes) -> None:
    """A key, or one line that repeats nothing of the file: it is nearly a secret."""
    path = key_file(folder, raw)
    keys = outcome_of(lambda: read_key_file(path, None), ConfigError)
    if isinstance(keys, Keys):
        return
    words, text = str(keys).removeprefix(f"key file {path}"), raw.decode("latin-1")
    assert len(words.splitlines()) == 1
    assert keys.__cause__ is None
    assert not any(text[start : start + 8] in words for start in range(len(text) - 7))


@effort(30)
@given(data=st.data())
def test_an_encrypted_key_file(folder: Path, data: st.DataObject) -> None:
    """A damaged one is refused, before the work of opening it."""
    path = folder / "encrypted.nsec"
    if not path.exists():
        write_key_file(path, KEYS, "passphrase")
    sealed = path.read_bytes()
    raw = data.draw(spoilt_bytes(sealed))
    if raw.strip().lower() == sealed.strip():
        return
    with pytest.raises(ConfigError) as refused:
        read_key_file(key_file(folder, raw), "passphrase")
    assert sealed.decode()[20:40] not in str(refused.value)


# --- payloads


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"x" * 65_536, b"{" * 1_000_000],
    ids=["nothing", "no text", "too long", "far too long"],
)
def test_a_payload_that_cannot_be_sent(tmp_path: Path, raw: bytes) -> None:
    """`machine settle` says so in one line and exits with 2, and has asked no relay."""
    write_key_file(tmp_path / "m1.nsec", person("m1"), None)
    (tmp_path / "sale.json").write_bytes(raw)
    options = ["--key", tmp_path / "m1.nsec", "--bot", BOT.npub, "--relay", "ws://127.0.0.1:1"]
    done = nostrbot_here("machine", "settle", *options, "--payload", tmp_path / "sale.json", "--timeout", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
