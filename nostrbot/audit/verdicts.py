"""Verdicts: a trail or a proof judged from files, said for people or for programs.

What lives here: the files, and the words. What does not: judging (verification.py, proof.py), options of a command
line. `nostrbot audit` and the verifier that is installed alone (verifier/) both speak through here, so they say the
same.
"""

import json as json_module
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nostrbot.audit.evidence import read_checkpoint_paper, read_receipt_paper
from nostrbot.audit.examination import LINE_BYTES_MAX
from nostrbot.audit.proof import PAPER_BYTES_MAX, Proven, check_proof
from nostrbot.audit.summary import Summary
from nostrbot.audit.verification import AT_END, verify_trail
from nostrbot.core.book import ROOT
from nostrbot.core.proofs.liabilities import sums_view
from nostrbot.core.rules import RULES
from nostrbot.errors import ConfigError, TrailError, file_trouble
from nostrbot.home.keyfile import read_key_file
from nostrbot.messages.words.trust import amounts_words
from nostrbot.nostr.keys import npub
from nostrbot.refusals import Refusal
from nostrbot.views.lines import escape

STDIN = Path("-")
MESSAGE_CHARS_MAX = 2_000  # of a difference, which may quote as much as a line has


class Verdict(NamedTuple):
    """The result of a judgement, and the same in words or as JSON."""

    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class TrailCase:
    """A trail to be judged, and what it is to be held against.

    Attributes:
        trail: its file; `-` is stdin.
        bot, platform, lp: the keys (hex) of the bot it must come from, the platform that must have opened it, and the
            LP the receipts must belong to.
        jobs: how many processes may work.
        keys, checkpoints, receipts: files. `passphrase` opens key files that are encrypted.
    """

    trail: Path
    bot: str | None = None
    platform: str | None = None
    lp: str | None = None
    jobs: int = 1
    keys: Sequence[Path] = ()
    checkpoints: Sequence[Path] = ()
    receipts: Sequence[Path] = ()
    passphrase: str | None = None


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def judge_trail(case: TrailCase, *, json: bool, progress: Callable[[int], None] | None = None) -> Verdict:
    """Verify a trail. `progress` is called now and then with how many entries are verified.

    Raises ConfigError for a file that cannot be read.
    """
    if case.lp is not None and not case.receipts:
        raise ConfigError("--lp names the LP the receipts must belong to: add them by --receipt")
    keys = [read_key_file(path, case.passphrase) for path in case.keys]
    try:
        with _opened(case.trail) as file:
            summary = verify_trail(
                _lines(file),
                bot=case.bot,
                platform=case.platform,
                jobs=case.jobs,
                keys=keys,
                checkpoints=[read_checkpoint_paper(_content(path, PAPER_BYTES_MAX)) for path in case.checkpoints],
                receipts=[read_receipt_paper(_content(path, PAPER_BYTES_MAX)) for path in case.receipts],
                lp=case.lp,
                progress=progress,
            )
    except OSError as error:
        raise ConfigError(f"{case.trail} cannot be read: {file_trouble(error)}") from None
    except TrailError as error:
        if json:
            difference = {
                "ok": False,
                "entry": error.seq,
                "field": _shown(error.field),
                "message": _shown(error.message),
            }
            return Verdict(False, json_module.dumps(difference))
        return Verdict(False, f"NOT verified. First difference: {_shown(str(error))}")
    if json:
        fields = asdict(summary) | {
            name: [command._asdict() for command in commands]
            for name, commands in (("carried", summary.carried), ("aged", summary.aged))
        }
        return Verdict(True, json_module.dumps({"ok": True, **fields}))
    return Verdict(True, "\n".join(_summary_words(summary)))


def judge_proof(proof: Path, checkpoint: Path, *, bot: str | None, lp: str | None, json: bool) -> Verdict:
    """Check that an LP's balances are part of what a bot signed. Raises ConfigError for a file that cannot be read."""
    found = check_proof(_content(proof, PAPER_BYTES_MAX), _content(checkpoint, PAPER_BYTES_MAX), bot=bot, lp=lp)
    if isinstance(found, Refusal):
        refused = json_module.dumps({"ok": False, "message": found.detail})
        return Verdict(False, refused if json else f"NOT proven: {found.detail}.")
    return Verdict(True, json_module.dumps(_proof_view(found)) if json else "\n".join(_proof_words(found)))


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    if path != STDIN:
        return path.open("rb")
    if sys.stdin is None:
        raise ConfigError("stdin is closed: there is no trail to read")
    return nullcontext(sys.stdin.buffer)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines of bounded length, whatever the file is. A longer line is cut where its length refuses it."""
    while line := file.readline(LINE_BYTES_MAX + 1):
        yield line


def _content(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)  # one more than is taken, so that a longer file is refused
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {file_trouble(error)}") from None


def _shown(text: str) -> str:
    """Make text from a stranger's file safe to show, and no longer than anybody reads."""
    return escape(text if len(text) <= MESSAGE_CHARS_MAX else text[:MESSAGE_CHARS_MAX] + "…")


# --- words ------------------------------------------------------------------------------------------------------------


def _summary_words(summary: Summary) -> Iterator[str]:
    whose = "the root book" if summary.book == ROOT else f"{summary.handle} ({npub(summary.book)})"
    yield f"Verified: the trail of {whose}, kept by bot {npub(summary.bot)}"
    yield f"for platform {npub(summary.platform)}."
    if summary.bot_now != summary.bot:
        yield f"The bot and the platform together rotated the bot's key: it is {npub(summary.bot_now)} now."
    yield f"{summary.entries} entries: each decided again to the same facts, postings and hash."
    yield f"{summary.settlements} settlements, {summary.sats_settled} sats, {summary.receipts} receipts."
    yield f"{summary.signed} inputs are proven by signatures. What they said:"
    yield from _input_words(summary)
    yield from _question_words(summary)
    if summary.ticks:
        yield f"Ticks: {summary.ticks}. Their times rest on the bot's clock."
    for source, seen in summary.observations.items():
        rest = f"{seen.proven} prove themselves, {seen.on_word} rest on the bot's word"
        yield f"Seen by the bot through {_shown(source)}: {seen.count}, of which {rest}."
    if summary.clocks_set:
        yield f"Clock set right: {summary.clocks_set} times. That it had run ahead rests on the bot's word."
    if summary.heard_before:
        yield f"Heard before the entry's time, on the bot's word: {summary.heard_before}. The clock had run ahead."
    if summary.checkpoints_checked:
        yield f"Checkpoints that fit: {summary.checkpoints_checked}. Bot, book, head and liabilities are this trail's."
    if summary.receipts_checked:
        void = f", of them void by now: {summary.receipts_voided}" if summary.receipts_voided else ""
        yield f"Receipts that fit: {summary.receipts_checked}{void}."
    yield f"Head {summary.head}"


def _question_words(summary: Summary) -> Iterator[str]:
    """Yield what a person should ask about, though nothing proves it wrong."""
    for command in summary.carried:
        said_on = _day(command.at)
        yield f"Carried into entry {command.entry}: {command.verb}, said on {said_on} by {npub(command.author)}."
    if summary.carried_count > len(summary.carried):
        yield f"Carried in all: {summary.carried_count} commands."
    for command in summary.aged:
        said_on = _day(command.at)
        yield (
            f"Obeyed in entry {command.entry}, though too old by its time: {command.verb}, said on {said_on} by "
            f"{npub(command.author)}. That it was heard in time rests on the bot's word."
        )
    if summary.aged_count > len(summary.aged):
        yield f"Obeyed though too old, in all: {summary.aged_count} commands."
    if summary.old_rules_until:
        until = _day(summary.old_rules_until)
        old = sum(count for rules, count in summary.by_rules.items() if rules < RULES)
        yield f"Decided by older rules: {old} entries, the last on {until}. Ask why, if the bot was newer by then."
    if summary.slots_missed:
        yield f"Slots of fixed mode that were due and never kept: {summary.slots_missed}, the last on {summary.slot_missed_on}."
    for machine, numbers in summary.numbers_missing.items():
        yield f"Settlements that the counter of {machine} counted and the trail lacks: {', '.join(numbers)}."


def _day(at: int) -> str:
    """Return the UTC day of a time. A date in an event may be any number, and calendars end."""
    return datetime.fromtimestamp(min(at, AT_END - 1), UTC).date().isoformat()


def _input_words(summary: Summary) -> Iterator[str]:
    for count, what in (
        (summary.plain, "came plain, so it is signed as it stands"),
        (summary.opened_by_keys, "proven by the message's own keys (NIP-44)"),
        (summary.opened_by_parties, "checked by the key of a party that you gave"),
        (summary.on_bots_word, "on the bot's word (NIP-04, or no keys in the trail)"),
    ):
        if count:
            yield f"  {count} {what}"


def _proof_words(found: Proven) -> Iterator[str]:
    signed = found.checkpoint
    yield f"Proven: {npub(found.lp)}"
    yield f"was owed {amounts_words(sums_view(found.balances))} after entry {signed.standpoint.seq}."
    yield f"It is part of {amounts_words(sums_view(signed.liabilities))}, owed to all LPs"
    yield f"of {npub(signed.standpoint.book)}, as signed by bot {npub(signed.standpoint.bot)}."
    yield f"Checkpoint {signed.id}"


def _proof_view(found: Proven) -> dict[str, Any]:
    signed = found.checkpoint
    return {
        "ok": True,
        "lp": found.lp,
        "balances": sums_view(found.balances),
        "bot": signed.standpoint.bot,
        "book": signed.standpoint.book,
        "checkpoint": signed.id,
        "seq": signed.standpoint.seq,
        "head": signed.standpoint.head,
        "at": signed.at,
        "liabilities": sums_view(signed.liabilities),
    }
