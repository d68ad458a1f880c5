"""Examination: what can be said of a page of a trail without knowing the pages before it.

What lives here: reading lines strictly; the hash of an entry, the id and signature of its event, the keys of its
message; and what deciding it will need to know of the past. What does not: order, links and decisions
(verification.py), and in which process a page is examined (workers.py). docs/protocol.md section 7.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from nostrbot.audit.differences import require_same
from nostrbot.core.atm.payloads.sale import read_settlement
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.specs import Past
from nostrbot.core.inputs import Input, Signed, read_observation, reopen
from nostrbot.core.parsing import parse
from nostrbot.core.rules import FIRST, RULES
from nostrbot.errors import SealingError, TrailError
from nostrbot.journal.entry import canonical, digest, trail_line
from nostrbot.nostr import kinds
from nostrbot.nostr.event import Event, VerifiedEvent
from nostrbot.nostr.event import parse as parse_event
from nostrbot.nostr.event import verify as verify_event
from nostrbot.nostr.sealing import Scheme, open_with, scheme_of
from nostrbot.refusals import Refusal

PAGE_LINES_MAX = 256
PAGE_BYTES_MAX = 1024 * 1024  # a page ends with the line that goes beyond: what is in memory has a bound
# The largest entry there can be is a slot of fixed mode for all LPs of an operator: some 5 MiB with ten thousand of
# them.
LINE_BYTES_MAX = 8 * 1024 * 1024

_ENTRY = {"at", "facts", "hash", "input", "postings", "prev", "rules", "seq"}
_INPUT = {"event", "plaintext", "keys", "carried", "answered", "heard"}

Verified = Callable[[Event], VerifiedEvent | Refusal]


class TrailPage(NamedTuple):
    """Lines of a trail that stand together, from entry `first` on."""

    first: int
    lines: tuple[bytes, ...]


class Depth(IntEnum):
    """A measure of how far an entry came before trouble; whatever lies between two depths needs the earlier entries."""

    LINE = 0
    HASH = 1
    INPUT = 2


class EntryTrouble(NamedTuple):
    """The trouble with an entry, as far as the entry alone shows it."""

    step: Depth
    seq: int
    field: str
    message: str

    def error(self) -> TrailError:
        """Return the trouble as the error of a trail."""
        return TrailError(self.seq, self.field, self.message)


class Needs(NamedTuple):
    """The past that must be known to decide a page.

    Attributes:
        effects: ids of what can have one effect only; seals: ids of the seals they came in.
        payments: payment hashes of settlements.
        settlements: numbers that commands name.
        pasts: machines, each with the time (unix seconds) since which its key may have been stolen.
        legs: numbers of payments that commands name.
    """

    effects: list[str]
    seals: list[str]
    payments: list[str]
    settlements: list[int]
    pasts: list[tuple[str, int]]
    legs: list[int]


class Examined(NamedTuple):
    """A page as it was read, up to its first trouble. An entry with trouble has content if its line has any.

    `crooked`: its first entry whose line is not canonical; that is said where nothing worse is found in the whole
    trail.
    """

    contents: list[dict[str, Any]]
    inputs: list[Input]
    trouble: EntryTrouble | None
    crooked: int | None = None


def pages(lines: Iterator[bytes]) -> Iterator[TrailPage]:
    """Return the entries of a trail in pages; `lines` begin after the header."""
    first, page, size = 1, list[bytes](), 0
    for line in lines:
        page.append(line)
        size += len(line)
        if len(page) == PAGE_LINES_MAX or size >= PAGE_BYTES_MAX:
            yield TrailPage(first, tuple(page))
            first, page, size = first + len(page), [], 0
    if page:
        yield TrailPage(first, tuple(page))


def examine(page: TrailPage) -> Examined:
    """Read a page and check in it all that needs no other page."""
    contents, inputs = list[dict[str, Any]](), list[Input]()
    step, crooked = Depth.LINE, None
    try:
        for seq, line in enumerate(page.lines, start=page.first):
            step = Depth.LINE
            content = _read_line(line, seq)
            contents.append(content)
            step = Depth.HASH
            if not _is_sound(content, line, seq) and crooked is None:
                crooked = seq
            step = Depth.INPUT
            given = _read_input(content["input"], seq, verify_event)
            # Without this a plain content, which is signed, could be given another plaintext, which is not.
            require_same(given.plain(), content["input"], "input", seq)
            _check_keys(given, seq)
            inputs.append(given)
    except TrailError as error:
        return Examined(contents, inputs, EntryTrouble(step, error.seq, error.field, error.message), crooked)
    return Examined(contents, inputs, None, crooked)


def reread(page: TrailPage, trouble: EntryTrouble | None, crooked: int | None, verified: Verified) -> Examined:
    """Read a page that another process examined, with what it found, and check nothing again."""
    lines = page.lines if trouble is None else page.lines[: trouble.seq - page.first + (trouble.step > Depth.LINE)]
    contents = [_read_line(line, seq) for seq, line in enumerate(lines, start=page.first)]
    sound = contents if trouble is None else contents[: trouble.seq - page.first]
    inputs = [_read_input(content["input"], seq, verified) for seq, content in enumerate(sound, start=page.first)]
    return Examined(contents, inputs, trouble, crooked)


def needs_of(inputs: Iterable[Input]) -> Needs:
    """Return what deciding these inputs needs to know, taken from what was signed and not from what the trail says of
    it.
    """
    needs = Needs([], [], [], [], [], [])
    for given in inputs:
        if given.id is not None:
            needs.effects.append(given.id)
        if not isinstance(given, Signed):
            continue
        if given.rumor is not None:
            needs.seals.append(given.event.id)
        if given.event.kind == kinds.SETTLEMENT:
            sale = read_settlement(given.text)
            if not isinstance(sale, Refusal):
                needs.payments.append(sale.payment_hash)
        elif given.event.kind in (kinds.DIRECT_MESSAGE, kinds.SEAL):
            # The entry names its rules. All rules read the needs alike, or not at all.
            readings = (parse(given.text, rules) for rules in range(RULES, FIRST - 1, -1))
            said = next((one for one in readings if isinstance(one, Command)), None)
            if said is not None:
                _note_needs(needs, given, said)
    return needs


def _note_needs(needs: Needs, given: Signed, said: Command) -> None:
    pasts = said.spec.pasts
    if Past.SETTLEMENT in pasts:
        needs.settlements.append(said.args["settlement"])
    if Past.LEG in pasts:
        needs.legs.append(said.args["leg"])
    if Past.PAYMENT_HASH in pasts:
        needs.payments.append(said.args.get("payment_hash", given.id))
    if Past.STOLEN in pasts:
        needs.pasts.append((said.args["machine"], said.args["since"]))


def read_object(line: bytes, seq: int) -> dict[str, Any]:
    """Read a line as a JSON object."""
    if len(line) > LINE_BYTES_MAX:
        raise TrailError(seq, "line", f"is longer than {LINE_BYTES_MAX} bytes: no entry is")
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise TrailError(seq, "line", "is not JSON") from None
    if not isinstance(content, dict):
        raise TrailError(seq, "line", "is not a JSON object")
    return content


def _read_line(line: bytes, seq: int) -> dict[str, Any]:
    content = read_object(line, seq)
    if set(content) != _ENTRY:
        missing = ", ".join(sorted(_ENTRY.symmetric_difference(content)))
        raise TrailError(seq, "entry", f"has not the fields of an entry (look at {missing})")
    return content


def _is_sound(content: dict[str, Any], line: bytes, seq: int) -> bool:
    """Check that an entry has its hash; returns whether its line is written as it must be."""
    try:
        body = canonical({name: value for name, value in content.items() if name != "hash"})
    except TypeError:  # orjson reads deeper nesting than it writes
        raise TrailError(seq, "entry", "is nested too deeply") from None
    if digest(body) != content["hash"]:
        raise TrailError(seq, "hash", "is not the hash of this entry: something in it was changed")
    return trail_line(body, content["hash"]) == line.rstrip(b"\r\n")


def _read_input(given: Any, seq: int, verified: Verified) -> Input:
    observed = read_observation(given)
    if observed is not None:
        return observed
    if not isinstance(given, dict) or not set(given) <= _INPUT:
        raise TrailError(seq, "input", "is not an input this program knows")
    claimed = parse_event(given.get("event"))
    event = claimed if isinstance(claimed, Refusal) else verified(claimed)
    if isinstance(event, Refusal):
        raise TrailError(seq, "input.event", f"does not verify: {event.reason}")
    texts, switches = ("plaintext", "keys"), ("carried", "answered")
    if (
        not all(type(given.get(name, "")) is str for name in texts)
        or not all(type(given.get(name, True)) is bool for name in switches)
        or type(given.get("heard", 0)) is not int
    ):
        raise TrailError(seq, "input", "has a field of a wrong type")
    try:
        signed = reopen(event, given)
    except SealingError as error:
        raise TrailError(seq, "input.keys", f"cannot be read: {error}") from None
    if isinstance(signed, Refusal):
        raise TrailError(seq, "input.plaintext", f"is not what a seal holds: {signed.reason}")
    return signed


def _check_keys(given: Input, seq: int) -> None:
    """Check that the message's own keys, where there are any, open the signed content to the very plaintext."""
    if not isinstance(given, Signed):
        return
    scheme = scheme_of(given.event.content)
    if given.rumor is not None and scheme is not Scheme.NIP44:
        raise TrailError(seq, "input.event", "is a seal whose content is not NIP-44")
    if given.keys is None:
        return
    if scheme is not Scheme.NIP44:
        raise TrailError(seq, "input.keys", "are there, but the content is not NIP-44 and has no message keys")
    try:
        text = open_with(given.keys, given.event.content)
    except SealingError:
        raise TrailError(seq, "input.keys", "do not open the content") from None
    if text != given.plaintext:
        raise TrailError(seq, "input.plaintext", "is not what the message's own keys open the content to")
