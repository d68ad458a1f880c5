"""Following a bot's checkpoints on real relays, by the installed command line: what is printed, proven, remembered.

The relays are somebody else's; what the bot signed is made beside them, honest or not.
"""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from nostrbot.nostr.event import VerifiedEvent
from tests.audit.test_equivocation import (
    ANTIGUA,
    FIRST,
    FLORES,
    FOURTH,
    HEIR,
    PLATFORM,
    SECOND,
    THIRD,
    checkpoint,
    handed_on,
)
from tests.houses import BOT, person
from tests.peers.bot_process import nostrbot
from tests.peers.local_relay import local_relay
from tests.peers.program import PROGRAM

LIE = checkpoint(9, "NINE", FIRST, sats=70)


@pytest.fixture
async def urls() -> AsyncIterator[list[str]]:
    """Two relays."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(local_relay()) for _ in range(2)]


async def publish(url: str, *events: VerifiedEvent) -> None:
    """Put events on a relay."""
    async with connect(url) as socket:
        for event in events:
            await socket.send(json.dumps(["EVENT", event.plain()]))
            assert json.loads(await socket.recv())[:3] == ["OK", event.id, True]


def command(urls: list[str], *more: str | Path) -> list[str | Path]:
    """`audit follow` on these relays."""
    relays = [word for url in urls for word in ("--relay", url)]
    return ["audit", "follow", "--bot", BOT.npub, *relays, *more]


async def once(urls: list[str], *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What relays keep, read to its end."""
    return await asyncio.to_thread(nostrbot, *command(urls, "--once", *more))


def shown(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """Every line of --json."""
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_what_relays_keep_is_a_line_each(urls: list[str]) -> None:
    """Exit 0; which relay lacks what is said on stderr, and nothing twice though two relays have it."""
    await publish(urls[0], FIRST, SECOND, THIRD, FOURTH, checkpoint(2, "two", book=FLORES))
    await publish(urls[1], FIRST, FOURTH)
    done = await once(urls)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    (line,) = [line for line in done.stdout.splitlines() if SECOND.id in line]
    assert line.startswith(f"{person('antigua').npub} entry 9: 70 sats; checkpoint {SECOND.id} at ws://127.0.0.1:")
    assert done.stderr == f"nostrbot: {urls[1]} lacks 3 of the checkpoints that were seen\n"
    one = await once(urls, "--operator", FLORES, "--json")
    assert [event["tags"] for event in shown(one)] == [[["d", f"nostrbot-checkpoint:{FLORES}"]]]


async def test_a_hole_in_the_chain_is_told(urls: list[str]) -> None:
    """What follows a checkpoint that no relay has; it proves nothing."""
    await publish(urls[0], FIRST, FOURTH)
    done = await once(urls[:1])
    told = "checkpoints whose predecessor no relay has shown: 1; an earlier key of the bot may have signed it"
    assert (done.returncode, done.stderr) == (0, f"nostrbot: {told}\n")


async def test_nothing_at_all_is_said(urls: list[str]) -> None:
    """A mistyped bot must not look like one with which all is well."""
    await publish(urls[0], FIRST)
    done = await once(urls[:1], "--operator", FLORES)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("nostrbot: no checkpoint of that bot is there: check --bot, and --operator")


async def test_two_heads_for_one_entry_are_proven(urls: list[str]) -> None:
    """Each relay alone has an honest history; together they have both events, and print them (exit 1)."""
    await publish(urls[0], FIRST, SECOND)
    await publish(urls[1], FIRST, LIE)
    for url in urls:
        assert (await once([url])).returncode == 0
    done = await once(urls)
    assert done.returncode == 1
    assert (
        "PROVEN: two checkpoints name different heads for entry 9: the history was rewritten. The bot signed both:"
        in (done.stdout)
    )
    for event in (SECOND, LIE):
        assert json.dumps(event.plain()) in done.stdout.splitlines()
    (evidence,) = [one for one in shown(await once(urls, "--json")) if "evidence" in one]
    assert evidence["evidence"] == "two_heads"
    assert {event["id"] for event in evidence["events"]} == {SECOND.id, LIE.id}


async def test_a_lie_told_later_is_found_by_what_was_remembered(urls: list[str], tmp_path: Path) -> None:
    """The relay that had the first history is gone; --state has it, proves the lie, and goes on proving it."""
    state = tmp_path / "seen.json"
    await publish(urls[0], FIRST, SECOND)
    assert (await once(urls[:1], "--state", state)).returncode == 0
    assert (await once(urls[:1], "--state", state)).stdout == ""
    await publish(urls[1], FIRST, LIE)
    done = await once(urls[1:], "--state", state, "--json")
    assert done.returncode == 1
    assert shown(done)[-1]["evidence"] == "two_heads"
    again = await once(urls[1:], "--state", state, "--json")
    assert (again.returncode, [one["evidence"] for one in shown(again)]) == (1, ["two_heads"])
    follow = await asyncio.to_thread(nostrbot, *command(urls, "--state", state))
    assert follow.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]


async def test_a_state_file_of_another_bot_or_none_is_left_alone(urls: list[str], tmp_path: Path) -> None:
    """Exit 2, one line, and the file is as it was."""
    state = tmp_path / "seen.json"
    for text, words in (
        ("hello", "not what this command wrote"),
        (json.dumps({"chronicle": 1, "bot": HEIR.pubkey, "events": []}), "belongs to another bot"),
    ):
        state.write_text(text)
        done = await once(urls, "--state", state)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr
        assert state.read_text() == text


async def test_nobody_answers(urls: list[str]) -> None:
    """Exit 3 when no relay did; a relay that takes the question and is silent has not answered either."""

    async def silent(socket: Any) -> None:
        await socket.wait_closed()

    async with serve(silent, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        mute = f"ws://{host}:{port}"
        done = await once([mute], "--timeout", "1")
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"nostrbot: {mute} did not answer within 1 s\n"
        await publish(urls[0], FIRST)
        done = await once([mute, urls[0]], "--timeout", "2")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


async def test_a_long_history_is_read_to_its_beginning(urls: list[str]) -> None:
    """More than the 500 events that relays give at once."""
    chain = [FIRST]
    for seq in range(10, 620):
        chain.append(checkpoint(seq, f"head {seq}", chain[-1]))
    await publish(urls[0], *chain)
    done = await once(urls[:1], "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {event["id"] for event in shown(done)} == {event.id for event in chain}


async def test_a_new_key_is_followed_if_the_platform_is_named(urls: list[str]) -> None:
    """The succession is found by the old key in it; what the new key signed before and after is read then."""
    later = checkpoint(9, "nine", FIRST, by=HEIR)
    await publish(urls[0], FIRST, handed_on(PLATFORM), later)
    alone = await once(urls[:1], "--json")
    assert [event["id"] for event in shown(alone)] == [FIRST.id]
    done = await once(urls[:1], "--platform", PLATFORM.npub)
    assert done.returncode == 0
    assert f"The bot {BOT.npub} goes on as {HEIR.npub}" in done.stdout
    assert later.id in done.stdout


async def test_it_goes_on_until_there_is_evidence(urls: list[str], tmp_path: Path) -> None:
    """New checkpoints as they come, a line each; at the lie it ends with exit 1, everything remembered."""
    await publish(urls[0], FIRST)
    state = tmp_path / "seen.json"
    following = await asyncio.create_subprocess_exec(
        PROGRAM, *map(str, command(urls, "--state", state, "--json")), stdout=subprocess.PIPE
    )
    assert following.stdout is not None
    async with asyncio.timeout(30):
        assert json.loads(await following.stdout.readline())["id"] == FIRST.id
        await publish(urls[1], SECOND)
        assert json.loads(await following.stdout.readline())["id"] == SECOND.id
        await publish(urls[0], LIE)
        assert json.loads(await following.stdout.readline())["id"] == LIE.id
        assert json.loads(await following.stdout.readline())["evidence"] == "two_heads"
        assert await following.wait() == 1
    assert {event["id"] for event in json.loads(state.read_text())["events"]} == {FIRST.id, SECOND.id, LIE.id}


async def test_ctrl_c_ends_it_without_a_word(urls: list[str]) -> None:
    """Exit 130 as with other commands, no traceback."""
    await publish(urls[0], FIRST)
    following = await asyncio.create_subprocess_exec(
        PROGRAM, *map(str, command(urls)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert following.stdout is not None
    async with asyncio.timeout(30):
        assert FIRST.id.encode() in await following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, errors = await following.communicate()
    assert (following.returncode, errors) == (130, b"")


async def test_usage(urls: list[str]) -> None:
    """A relay named twice, and what is no key."""
    twice = await once([urls[0], urls[0]])
    assert (twice.returncode, twice.stderr) == (2, "nostrbot: --relay: one url is given twice\n")
    done = await once(urls, "--operator", ANTIGUA[:-1])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


async def test_a_lie_that_two_keys_signed_names_both(urls: list[str]) -> None:
    """Whoever stole the old key can still sign with it: the reader is told that not one key said both."""
    true, stolen = checkpoint(15, "heir", SECOND, by=HEIR), checkpoint(15, "thief", SECOND)
    await publish(urls[0], FIRST, SECOND, handed_on(PLATFORM), true, stolen)
    done = await once(urls[:1], "--platform", PLATFORM.npub)
    assert done.returncode == 1
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("PROVEN")]
    assert "Two keys of the bot signed them" in told
    assert BOT.npub in told
    assert HEIR.npub in told


async def test_a_state_that_cannot_be_read_is_exit_2(urls: list[str], tmp_path: Path) -> None:
    """A folder in its place, say: one line, and nothing is asked of relays."""
    done = await once(urls, "--state", tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "cannot be read" in done.stderr
