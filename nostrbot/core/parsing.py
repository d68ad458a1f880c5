"""Parsing: parse(text) -> Command, or the reason why the text is not a command.

What lives here: understanding a message. What does not: the table of what can be said (core/table.py), what a command
does (core/engine.py for those that change a book, reading/ for questions) and its answer's words (messages/replies.py).
docs/protocol.md section 6.
"""

import shlex
from dataclasses import dataclass, field
from typing import Any

from nostrbot.core.commands.arguments import FREE_TEXT, PLAINLY_WRITTEN, Wanted, by_rules
from nostrbot.core.commands.command import COMMAND_CHARS_MAX, Command, Misunderstood
from nostrbot.core.commands.handwriting import QUOTES_OF_FIRST_RULES, as_one_line, asks_for_json, bare_word, plain_word
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Arg, CommandSpec, Role
from nostrbot.core.rules import RULES, SOUND
from nostrbot.core.table import SPECS, TABLE
from nostrbot.nostr.identifiers import INVISIBLE, SECRET

HAS_SECRET = CommandRefused(
    Code.BAD_ARGUMENT,
    "there is a secret key in your message, so nothing was done. Whoever reads the message has the key: use another "
    "key from now on, and say its npub",
)


def parse(text: str, rules: int = RULES) -> Command | Misunderstood:
    """Understand a message, by the rules of this number. Lines of clients (`[//]: …`), `/` and `!`, smart quotes and
    CRLF are taken in stride.
    """
    json = "--json" in text or (rules >= SOUND and any(map(asks_for_json, text.split())))
    if len(text) > COMMAND_CHARS_MAX:
        too_long = f"a command has at most {COMMAND_CHARS_MAX} characters"
        return Misunderstood(CommandRefused(Code.BAD_ARGUMENT, too_long), "", json)
    if rules >= SOUND and SECRET.search(text.translate(INVISIBLE)):
        return Misunderstood(HAS_SECRET, "", json)
    try:
        words = _split(text, rules)
    except ValueError:
        return Misunderstood(
            CommandRefused(Code.BAD_QUOTING, 'a quote or an apostrophe is not closed: put text in "…"'), "", json
        )
    is_json = asks_for_json if rules >= SOUND else "--json".__eq__
    json = any(map(is_json, words))
    words = [word for word in words if not is_json(word)]
    first = words[0].lstrip("/!") if words else ""
    preview = (bare_word(first) if rules >= SOUND else first).lower() == "preview"
    if preview:
        words = words[1:]
    form, words = _find_form(words, rules)
    if form is None:
        said = " ".join(words[:2])[:40]
        sentence = f"there is no command {said!r}" if said else "that is not a command"
        return Misunderstood(CommandRefused(Code.UNKNOWN_COMMAND, sentence), said, json)
    args = _read_args(form, words, rules)
    if isinstance(args, CommandRefused):
        return Misunderstood(args, form.verb, json)
    values, rest = args
    return Command(form, values, rest, json, preview)


def _split(text: str, rules: int) -> list[str]:
    """Split a message into words. Raises ValueError if a quote is not closed."""
    if rules < SOUND:
        lines = text.translate(QUOTES_OF_FIRST_RULES).splitlines()
        return shlex.split(" ".join(line for line in lines if not line.lstrip().startswith("[//]:")))
    words = shlex.split(as_one_line(text))
    if len(words) == 1 and " " in words[0]:
        words = shlex.split(words[0])  # all of it was quoted
    return [word for word in words if plain_word(word) or not word]


def name_what_there_is(refused: CommandRefused, said: str, roles: tuple[Role, ...]) -> CommandRefused:
    """Return an unknown command's refusal, with the commands its author may say: those with its first word, or all."""
    verbs = [form.verb for form in TABLE if form.is_for(roles)]
    near = [verb for verb in verbs if said.split(" ", maxsplit=1)[0].lower() in verb.split()]
    return CommandRefused(refused.code, f"{refused.message}. There is: {', '.join(near or verbs)}")


def _find_form(words: list[str], rules: int) -> tuple[CommandSpec | None, list[str]]:
    """Find the row whose verb begins the words (two words before one); returns it and the rest of the words."""
    lowered = [word.lower() for word in words[:2]]
    if lowered:
        lowered[0] = lowered[0].lstrip("/!")
    for length in (2, 1):
        form = SPECS.get(" ".join(lowered[:length])) if len(lowered) >= length else None
        if form is None and rules >= SOUND and len(lowered) >= length:
            form = SPECS.get(" ".join(bare_word(word) for word in lowered[:length]).lower())
        if form is not None:
            return form, words[length:]
    return None, words


@dataclass(slots=True)
class _Reading:
    """Arguments on their way from words to values."""

    values: dict[str, Any] = field(default_factory=dict)
    rest: list[tuple[str, str]] = field(default_factory=list)


def _gathered(words: list[str], places: list[Arg]) -> list[str]:
    """Return the words, with those for a repeated last place put together."""
    plain = [word for word in words if "=" not in word]
    if not places or not places[-1].many or len(plain) <= len(places):
        return words
    rest = plain[len(places) - 1 :]
    return [*(word for word in words if "=" in word), *plain[: len(places) - 1], ",".join(map(_bare, rest))]


def _in_quotes(before: Arg | None) -> str:
    """Return advice on a word that no place is left for, if it may continue the text before it."""
    if before is None or before.read not in FREE_TEXT:
        return ""
    return f': put text of several words in quotes, {"" if before.positional else f"{before.name}="}"…"'


def _bare(word: str) -> str:
    return word.strip(",")


def _read_args(
    form: CommandSpec, words: list[str], rules: int
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]] | CommandRefused:
    if form.verb == "help":
        topic = " ".join(words) if rules < SOUND else bare_word(" ".join(words))
        return {"topic": topic.lower()}, ()
    reading = _Reading()
    places = [arg for arg in form.args if arg.positional]
    keyed = {arg.name: arg for arg in form.args if not arg.positional}
    before: Arg | None = None
    for word in _gathered(words, places):
        key, equals, value = word.partition("=" if rules < SOUND or "＝" not in word.partition("=")[0] else "＝")
        if equals and key.lower() in keyed:
            arg = keyed[key.lower()]
        elif equals and form.rest:
            reading.rest.append((key, value))
            continue
        elif places and not equals:
            arg, value = places.pop(0), word
        else:
            quoted = _in_quotes(before)
            return CommandRefused(
                Code.UNKNOWN_ARGUMENT, f"{word[:40]!r} is not understood here{quoted}. Say: {form.usage}"
            )
        before = arg
        if arg.name in reading.values:
            return CommandRefused(Code.BAD_ARGUMENT, f"{arg.name} is given twice")
        read = by_rules(arg.read, rules)(value)
        is_new_name = arg.name == "name" and not arg.positional
        if isinstance(read, Wanted) and rules >= SOUND and not is_new_name and arg.read not in PLAINLY_WRITTEN:
            again = arg.read(bare_word(value))  # as it was meant; a new name and money are taken as they were typed
            read = read if isinstance(again, Wanted) else again
        if isinstance(read, Wanted):
            return CommandRefused(Code.BAD_ARGUMENT, f"{arg.name} must be {read.what}")
        reading.values[arg.name] = read
    for arg in form.args:
        if arg.required and arg.name not in reading.values:
            return CommandRefused(Code.MISSING_ARGUMENT, f"{arg.name} is missing. Say: {form.usage}")
    return reading.values, tuple(reading.rest)
