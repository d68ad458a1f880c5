"""Handwriting: what keyboards and clients make of a command, made plain again.

What lives here: quotes, blanks, dashes, wide letters and invisible characters. What does not: the words of commands
(core/parsing.py). Free text keeps every character that was typed; words that must be one of a kind are made plain only
where they are none as they stand. docs/protocol.md section 6; faults.md rows 44, F13.
"""

import re
from typing import Final

from nostrbot.nostr.identifiers import INVISIBLE

QUOTES_OF_FIRST_RULES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "\u00a0": " ", "\u202f": " "})
_BLANKS: Final = dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_QUOTES: Final = _BLANKS | {ord(quote): '"' for quote in "“”„‟＂"}
_SINGLE_QUOTED: Final = re.compile(r"(?:(?<=[\s=])|^)[‘‚]([^‘’]*)’(?=\s|$)")
_DASHES: Final = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63), "-")
_WIDE: Final = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms of ASCII
_PUNCTUATION: Final = ".,;:!?…。"
_BEFORE: Final = "¿¡@#"  # before a question in Spanish, before a name or a number in chats
_BRACKETS: Final = "<>()[]{}`'\""
_JSON: Final = re.compile(r"-{1,2}json", re.IGNORECASE | re.ASCII)


def as_one_line(text: str) -> str:
    """Return a message as one line with plain quotes and blanks, without a client's additions and invisible
    characters.
    """
    lines = [line for line in text.translate(_QUOTES).splitlines() if not line.lstrip().startswith("[//]:")]
    line = _SINGLE_QUOTED.sub(r"'\1'", " ".join(lines))
    line = line.strip("".join(map(chr, INVISIBLE)) + " \t")
    return line.strip("`") if line[:1] == line[-1:] == "`" else line  # as our own answers write commands


def plain_word(word: str) -> str:
    """Return a word without invisible characters, and with ASCII for its dashes and wide letters."""
    return word.translate(INVISIBLE).translate(_WIDE).translate(_DASHES)


def bare_word(word: str) -> str:
    """Return a plain word without the punctuation of a sentence around it, and without brackets and quotes."""
    return plain_word(word).strip(_BRACKETS).lstrip(_BEFORE).rstrip(_PUNCTUATION).strip(_BRACKETS)


def asks_for_json(word: str) -> bool:
    """Whether a word is `--json`, also as keyboards write it: `—json`, `–json`."""
    return _JSON.fullmatch(bare_word(word)) is not None
