"""Replies: the answer to a command, as one JSON object or as a few plain words.

What lives here: the frame around data, and the table of words. What does not: the data (views/, reading/), the
sentences (messages/words/), receipts (messages/receipts.py). docs/protocol.md section 6. Replies show typed text
escaped, so that no name can play tricks with the reader's screen (faults.md row 45). An answer fits in one event.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.messages.words.figures import FIGURES_WORDS
from nostrbot.messages.words.help import HELP_WORDS
from nostrbot.messages.words.machines import MACHINE_WORDS
from nostrbot.messages.words.parties import PARTY_WORDS
from nostrbot.messages.words.plans import PLAN_WORDS
from nostrbot.messages.words.receipts import receipt_words
from nostrbot.messages.words.settlements import SETTLEMENT_WORDS
from nostrbot.messages.words.trust import TRUST_WORDS
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.fitting import Data, Shortened, fits
from nostrbot.views.json_text import json_text
from nostrbot.views.lines import escape, escape_lines

REFUSED = "Refused: "  # how every plain refusal begins, so that a program can tell without --json


def answer(verb: str, data: Data, *, json: bool, preview: bool = False) -> str:
    """Return the answer to a command that did, or would do, what it says."""
    if json:
        frame: dict[str, Any] = {"ok": True, "command": verb, "data": data}
        if preview:
            frame["preview"] = True
        if isinstance(data, Shortened):
            frame["more"] = True
        return json_text(frame)
    words = WORDS.get(verb, _no_words)(data)
    return f"Preview, nothing is changed:\n{words}" if preview else words


def answer_that_fits(verb: str, text: str, *, json: bool, scheme: Scheme) -> str:
    """Return the answer itself, or a refusal in its place if it is too long for one event."""
    if fits(text, scheme):
        return text
    too_long = CommandRefused(
        Code.TOO_LONG, "the answer is too long for one message: ask for less, by machine= or limit="
    )
    return refusal(verb, too_long, json=json)


def refusal(verb: str, refused: CommandRefused, *, json: bool) -> str:
    """Return the answer to a command that was refused: the reason, and what can be done."""
    if json:
        error = {"code": refused.code, "message": refused.message}
        return orjson.dumps({"ok": False, "command": verb, "error": error}).decode()
    return f"{REFUSED}{escape(refused.message)} [{refused.code}]"


def is_refusal(text: str) -> bool:
    """Tell from an answer's text alone whether the command was refused."""
    if text.startswith("{"):
        try:
            return orjson.loads(text).get("ok") is False
        except orjson.JSONDecodeError:
            return False
    return text.startswith(REFUSED)


def _no_words(data: Any) -> str:
    return escape_lines(json_text(data, indented=True))


WORDS: Mapping[str, Callable[[Any], str]] = {
    **PARTY_WORDS,
    **SETTLEMENT_WORDS,
    "receipt": receipt_words,
    **MACHINE_WORDS,
    **PLAN_WORDS,
    **FIGURES_WORDS,
    **TRUST_WORDS,
    **HELP_WORDS,
}
