"""Commands of those who check a bot's promises: `audit proof`, `audit follow`.

What lives here: their arguments, and what was found in words. What does not: checking (audit/). docs/protocol.md
section 8.
"""

import asyncio
import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nostrbot.cli.logs import log_to_stderr
from nostrbot.cli.terminal import DONE, NO, NOBODY, JsonOption, RelayOption, complain, public_key, run_until_done
from nostrbot.errors import ConfigError, file_trouble
from nostrbot.net.urls import identity, relay_url
from nostrbot.nostr.keys import npub

if TYPE_CHECKING:
    from nostrbot.audit.equivocation import CheckpointLog, CheckpointSeen, Equivocation
    from nostrbot.audit.monitor import Monitor
    from nostrbot.core.platform.succession import Succession

STATE_BYTES_MAX = 256 * 1024 * 1024  # some 200,000 checkpoints

app = typer.Typer()  # a part of `audit` (auditors.py)

BotOption = Annotated[str | None, typer.Option("--bot", help="The npub of the bot this must come from.")]


@app.command("proof")
def audit_proof(
    file: Annotated[Path, typer.Argument(help="File with the answer to `proof --json`.")],
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="File with the checkpoint's event, as a relay sent it.")
    ],
    bot: BotOption = None,
    lp: Annotated[str | None, typer.Option("--lp", help="The npub of the LP the proof must belong to.")] = None,
    json: JsonOption = False,
) -> int:
    """Check that a bot's signed checkpoint includes an LP's balances. Exit 1 if not, with the reason.

    Example: nostrbot audit proof proof.json --checkpoint checkpoint.json --bot npub1… --lp npub1…
    """
    from nostrbot.audit.verdicts import judge_proof

    of_bot = None if bot is None else public_key("--bot", bot)
    of_lp = None if lp is None else public_key("--lp", lp)
    verdict = judge_proof(file, checkpoint, bot=of_bot, lp=of_lp, json=json)
    print(verdict.text)
    return DONE if verdict.holds else NO


@app.command("follow")
def audit_follow(
    bot: Annotated[str, typer.Option("--bot", help="The bot's first npub.")],
    relay: RelayOption,
    operator: Annotated[
        str | None, typer.Option("--operator", help="Only this operator's checkpoints, by its first npub.")
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option("--platform", help="The platform's npub: also follow a new bot key that it countersigned."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="File that remembers what was seen; only what is new is printed.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Read what relays have stored, then stop.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for relays, with --once.", min=0.1)
    ] = 10.0,
    json: JsonOption = False,
) -> int:
    """Watch a bot's checkpoints. Exit 1, with the evidence, if two of them prove that history was rewritten.

    With --json each line is the evidence or a signed event: a checkpoint, or one that names a new key.

    Example: nostrbot audit follow --bot npub1… --relay wss://relay.example.com --state seen.json
    """
    from nostrbot.audit.equivocation import CheckpointLog

    log_to_stderr("ERROR")
    relay = [relay_url(url) for url in relay]
    if len({identity(url) for url in relay}) != len(relay):
        raise ConfigError("--relay: one url is given twice")
    chronicle = CheckpointLog(
        public_key("--bot", bot),
        operator=None if operator is None else public_key("--operator", operator),
        platform=None if platform is None else public_key("--platform", platform),
    )
    _restore(chronicle, state)
    for evidence in chronicle.evidence:
        _tell_evidence(evidence, json=json)
    if once:
        return run_until_done(_read_once(chronicle, relay, state, timeout_s=timeout, json=json))
    return NO if chronicle.evidence else run_until_done(_follow(chronicle, relay, state, json=json))


async def _read_once(
    chronicle: "CheckpointLog", urls: list[str], state: Path | None, *, timeout_s: float, json: bool
) -> int:
    from nostrbot.audit.monitor import Monitor
    from nostrbot.relays.limits import Limits

    # A relay that is given up on for want of its EOSE has not answered.
    async with Monitor(chronicle, urls, Limits(eose_s=timeout_s + 1)) as following:
        telling = asyncio.create_task(_tell_all(following, json=json))
        answered = await following.read_what_is_kept(timeout_s)
        telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    _tell_rest(following, json=json)
    _keep(chronicle, state)
    for url in urls:
        if url not in answered:
            complain(f"{url} did not answer within {timeout_s:g} s")
        elif chronicle.lacking(url):
            complain(f"{url} lacks {chronicle.lacking(url)} of the checkpoints that were seen")
    if chronicle.missing():
        complain(
            f"checkpoints whose predecessor no relay has shown: {chronicle.missing()}; an earlier key of the bot may "
            "have signed it"
        )
    if answered and not any(True for _ in chronicle.known()):
        complain(
            "no checkpoint of that bot is there: check --bot, and --operator, which takes the operator's first key"
        )
    if chronicle.evidence:
        return NO
    return DONE if answered else NOBODY


async def _follow(chronicle: "CheckpointLog", urls: list[str], state: Path | None, *, json: bool) -> int:
    from nostrbot.audit.monitor import Monitor

    async with Monitor(chronicle, urls) as following:
        while not chronicle.evidence:
            _tell(*await following.seen.get(), json=json)
            if following.seen.empty():
                _keep(chronicle, state)
    _tell_rest(following, json=json)
    _keep(chronicle, state)
    return NO


async def _tell_all(following: "Monitor", *, json: bool) -> None:
    while True:
        _tell(*await following.seen.get(), json=json)


def _tell_rest(following: "Monitor", *, json: bool) -> None:
    while not following.seen.empty():
        _tell(*following.seen.get_nowait(), json=json)


def _tell(url: str, seen: "CheckpointSeen | Succession", *, json: bool) -> None:
    """Print a checkpoint and what it proves, or that the bot has another key."""
    from nostrbot.core.platform.succession import Succession
    from nostrbot.core.proofs.liabilities import sums_view
    from nostrbot.messages.words.trust import amounts_words

    if isinstance(seen, Succession):
        words = (
            f"The bot {npub(seen.old)} goes on as {npub(seen.new)}: it said so itself, and the platform countersigned."
        )
        print(json_module.dumps(seen.event.plain()) if json else words, flush=True)
        return
    checkpoint = seen.checkpoint
    if json:
        print(json_module.dumps(seen.event.plain()), flush=True)
    else:
        owed = amounts_words(sums_view(checkpoint.liabilities))
        book = npub(checkpoint.standpoint.book)
        print(f"{book} entry {checkpoint.standpoint.seq}: {owed}; checkpoint {checkpoint.id} at {url}", flush=True)
    for evidence in seen.evidence:
        _tell_evidence(evidence, json=json)


def _tell_evidence(evidence: "Equivocation", *, json: bool) -> None:
    events = [event.plain() for event in evidence.events]
    if json:
        found = {"evidence": evidence.wrong, "message": evidence.sentence, "events": events}
        print(json_module.dumps(found), flush=True)
    else:
        signers = dict.fromkeys(npub(event.pubkey) for event in evidence.events)
        whose = (
            "The bot signed both" if len(signers) == 1 else f"Two keys of the bot signed them, {' and '.join(signers)}"
        )
        print(f"PROVEN: {evidence.sentence}. {whose}:")
        for event in events:
            print(json_module.dumps(event), flush=True)


def _restore(chronicle: "CheckpointLog", path: Path | None) -> None:
    if path is None:
        return
    try:
        with path.open("rb") as file:
            state = file.read(STATE_BYTES_MAX + 1)  # what is cut here is no JSON
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {file_trouble(error)}") from None
    chronicle.restore(state)


def _keep(chronicle: "CheckpointLog", path: Path | None) -> None:
    """Write what was seen: the file is the old one or the new one, never something between."""
    if path is None:
        return
    path = path.resolve()
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(chronicle.state())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {file_trouble(error)}") from None
