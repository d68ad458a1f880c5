"""People: what they say, taken into a turn.

What lives here: how far a command goes, which books it concerns, what follows from it in others, and its answer. What
does not: opening and reading it (intake.py beside this), who says too much (hearing.py), deciding (core/engine.py), and
questions (answers.py). The row of a command says what it needs (core/commands/specs.py). docs/protocol.md section 6.
"""

from collections.abc import Callable
from dataclasses import replace

from nostrbot.core.atm.splits import splits_as_set
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.amounts import read_limit
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import SUSPENDED, Code, CommandRefused, not_yours
from nostrbot.core.commands.specs import BY_LP, BY_OPERATOR, Answerer, Part, Scope
from nostrbot.core.directory import Standing
from nostrbot.core.engine import check_fresh, decide
from nostrbot.core.inputs import Signed
from nostrbot.core.parsing import name_what_there_is
from nostrbot.core.plain import View
from nostrbot.core.platform.roles import keys_given, taken
from nostrbot.core.rules import RULES
from nostrbot.messages.replies import answer, answer_that_fits, refusal
from nostrbot.reading.question import Begun, Question
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.carrying import Carrying
from nostrbot.runtime.freed_keys import Claims
from nostrbot.runtime.hearing import COMMANDS_PER_S, TOO_MANY_CHOICES, Heard, Hearing
from nostrbot.runtime.intake import Opened
from nostrbot.runtime.lp_books import books_concerned, enrolment_notice
from nostrbot.runtime.shelf import Shelf
from nostrbot.runtime.turn import Turn
from nostrbot.runtime.unread_reports import UnreadReports
from nostrbot.runtime.zones import zone_names
from nostrbot.store.store import LiveBook
from nostrbot.views.outcomes import outcome_view

HUSHED = "For a while I answer only commands; I go on hearing them"
TOO_FAST = CommandRefused(
    Code.RATE_LIMITED, f"too many commands at once: I take {COMMANDS_PER_S} a second. Wait, then send it again"
)


class People:
    """The taker of people's commands."""

    def __init__(
        self,
        shelf: Shelf,
        carrying: Carrying,
        unread: UnreadReports,
        *,
        claims: Claims,
        hearing: Hearing,
        next_bot: Callable[[], str | None],
    ) -> None:
        """`next_bot`: the key (hex) that the bot's rotation is about to give it, if one is on the way."""
        self._shelf = shelf
        self._carrying = carrying
        self._unread = unread
        self._next_bot = next_bot
        self.claims = claims
        self.hearing = hearing

    async def hear(self, one: Opened, said: Command | Misunderstood, now: int, turn: Turn) -> None:
        """Take what a person says, or answer that it is too much, or be silent; what is silent has no effect later."""
        given = one.given
        is_fresh = check_fresh(given.created_at, now) is None
        heard = self.hearing.hear(given.author, said, now, is_fresh=is_fresh, is_unlimited=one.standing.platform)
        if heard in (Heard.TAKEN, Heard.LAST):
            await self._take_command(one, said, now, turn, is_last=heard is Heard.LAST)
            return
        self._shelf.refuse(Refusal(Reason.RATE_LIMITED), given.event)
        if heard is Heard.TOO_FAST:
            self._answer(given, said, refusal(said.verb, TOO_FAST, json=said.json), now, turn)
        elif heard is Heard.IN_SILENCE:
            turn.batch.answered.append((given.id, now))

    async def _take_command(
        self, one: Opened, said: Command | Misunderstood, now: int, turn: Turn, *, is_last: bool
    ) -> None:
        refused = self._find_refusal(one, said, now)
        if refused is not None:
            if is_last:
                refused = CommandRefused(refused.code, f"{refused.message}. {HUSHED}")
            self._answer(one.given, said, refusal(said.verb, refused, json=said.json), now, turn)
            return
        assert isinstance(said, Command), "what is misunderstood is refused"
        if said.spec.answerer is Answerer.UNREAD:
            text = self._unread.dismiss(self._shelf.books[one.standing.operator or ""], said, turn.batch)
            self._answer(one.given, said, text, now, turn)
        elif said.spec.changes:
            await self._decide_order(one, said, now, turn)
        else:
            turn.questions.append((Question(said, one.given.author, one.standing, now), one.given))

    def _find_refusal(self, one: Opened, said: Command | Misunderstood, now: int) -> CommandRefused | None:
        """Return why a command goes no further than the bookkeeper, or None: its age, its words, its author, the
        door.
        """
        standing = one.standing
        stale = check_fresh(one.given.created_at, now)
        if stale is not None:
            return stale
        if isinstance(said, Misunderstood):
            return _misunderstood(standing, said)
        if not said.spec.is_for(standing.roles):
            return not_yours(said.verb)
        if said.spec.changes:
            return self._check_door(said, standing, one.given.author)
        suspended = standing.operator is not None and not self._shelf.books[standing.operator].active
        return SUSPENDED if suspended and said.spec.roles == BY_OPERATOR else None

    def _check_door(self, said: Command, standing: Standing, author: str) -> CommandRefused | None:
        """Check what a single book cannot know: other operators' machines, and the world's time zones."""
        keys = self._concerned(said, standing, author)
        if not self._shelf.closed_books.keys().isdisjoint(keys):
            return CommandRefused(Code.BOOK_CLOSED, "this book is closed for repair: only questions are answered")
        if said.spec.scope is Scope.HOLDER and said.args["npub"] not in self._shelf.directory.machines:
            return CommandRefused(Code.NOT_FOUND, "no operator has a machine with this key")
        refused = self._find_taken(said, standing)
        if refused is not None:
            return refused
        if said.spec.one_limit and "limit" in said.args:
            # The answer is the first book's: a limit must be one in each of them, or it is entered in none.
            purses = {
                book.machines[machine].fiat
                for book in (self._shelf.books[key] for key in keys)
                for machine in book.lps[book.lp_of_key[author]].seats
            }
            limit = read_limit(Order(said, author, 0), "limit", purses)
            return limit if isinstance(limit, CommandRefused) else None
        if said.spec.scope is Scope.OPENED and said.args.get("tz", "UTC") not in zone_names():
            return CommandRefused(Code.BAD_ARGUMENT, "tz must be an IANA time zone, like America/Guatemala")
        return None

    def _find_taken(self, said: Command, standing: Standing) -> CommandRefused | None:
        """Return why a key may not get the part that a command gives it, for reasons that the book itself cannot know.

        Operators learn nothing here but that a key is a machine's somewhere: those are no secret, each signs in public.
        """
        given = set(keys_given(said))
        if given and self._next_bot() in given:
            return taken(Part.BOT)
        if not given or said.spec.gives not in (Part.MACHINE, Part.OPERATOR):
            return None
        key = said.args["npub"]
        if said.spec.gives is Part.OPERATOR and key in self._shelf.directory.machines:
            return taken(Part.MACHINE)
        elsewhere = self._shelf.directory.holder(key)
        if elsewhere is None or elsewhere == standing.operator:
            return None
        if standing.operator is not None and not said.preview:
            self.claims.note(key, standing.operator)
        return CommandRefused(Code.KEY_TAKEN, "this key is already a machine's: give each machine its own key")

    def _concerned(self, said: Command, standing: Standing, author: str) -> list[str]:
        """Return the keys of the books a command concerns; the first one answers."""
        books = self._shelf.books
        match said.spec.scope:
            case Scope.OWN:
                return [standing.operator or ""]
            case Scope.JOINED | Scope.ENROLLED:
                return books_concerned(books, standing.lp, author, also_others=said.spec.scope is Scope.ENROLLED)
            case Scope.EVERY:
                return list(books)
            case Scope.OPENED:
                return [ROOT, said.args["npub"]]
            case Scope.HOLDER:
                return [self._shelf.directory.standing(said.args["npub"]).machine or ROOT, ROOT]
            case Scope.NAMED:
                handle = said.args["name"]
                return [ROOT, *(key for key, book in books.items() if key != ROOT and book.handle == handle)]

    async def _decide_order(self, one: Opened, said: Command, now: int, turn: Turn) -> None:
        given, author, form = one.given, one.given.author, said.spec
        first, *others = self._concerned(said, one.standing, author)
        self._shelf.in_hand = first
        home = self._shelf.live[first]
        given, at = given._replace(heard=home.heard_at(now)), home.chain.next_at(now)
        decision = decide(home.book, given, at, RULES, replace(said, preview=False))
        refused = decision.instead
        is_choice = form.roles == BY_LP and not said.preview
        if decision.facts and is_choice and not self.hearing.may_choose(author, now):
            refused = TOO_MANY_CHOICES
        if isinstance(refused, CommandRefused):
            self._answer(given, said, refusal(said.verb, refused, json=said.json), now, turn)
            return
        if isinstance(refused, Refusal):
            self._shelf.refuse(refused, given.event)
            return
        view = outcome_view(home.book, author, said, decision.facts, at=at)
        if said.preview and form.shows_past:
            # The past that it shows is looked up beside the sales, as for a question.
            rules = splits_as_set(home.book, said, decision.facts)
            turn.questions.append((Question(said, author, one.standing, now, Begun(view, rules)), given))
            return
        if not said.preview:
            if decision.facts:
                self._shelf.seal(home, given, decision.facts, now, turn)
                self._unread.forget(home.book, decision.facts[0], turn.batch)
                turn.registry_changed = turn.registry_changed or form.enrols
                _name_entry(home.book, view, turn)
            await self._follow_up(given, said, home, others, now=now, turn=turn, is_new=bool(decision.facts))
        self._answer(given, said, answer(said.verb, view, json=said.json, preview=said.preview), now, turn)

    async def _follow_up(
        self, given: Signed, said: Command, home: LiveBook, others: list[str], *, now: int, turn: Turn, is_new: bool
    ) -> None:
        """Do what follows from a command in other books, and tell others of it; `is_new`: it changed its first book."""
        form, books = said.spec, self._shelf.books
        if is_new and form.gives is Part.LP:
            self._shelf.owe(enrolment_notice(books, home.book, said.args["npub"]), now, turn)
        if form.scope is Scope.HOLDER:
            others = others if is_new else []
            self._shelf.owe(self.claims.answer(said.args["npub"], books, now), now, turn)
        for key in others:
            if form.scope is Scope.ENROLLED:
                await self._carrying.bring_choices(given, home.book.key, key, now, turn)
            self._decide_beside(key, given, said, now, turn)
        if is_new and form.scope is Scope.OPENED:
            await self._carrying.open_with(home.book, said.args["npub"], now, turn)

    def _decide_beside(self, key: str, given: Signed, said: Command, now: int, turn: Turn) -> None:
        """Enter a command that was answered from its first book into another that it concerns."""
        live, self._shelf.in_hand = self._shelf.book_opened(key), key
        beside = given._replace(answered=False, heard=live.heard_at(now))
        decision = decide(live.book, beside, live.chain.next_at(now), RULES, said)
        if decision.facts:
            self._shelf.seal(live, beside, decision.facts, now, turn)

    def _answer(self, given: Signed, said: Command | Misunderstood, text: str, now: int, turn: Turn) -> None:
        self._shelf.owe_answer(given, answer_that_fits(said.verb, text, json=said.json, scheme=given.scheme), now, turn)


def _name_entry(book: Book, view: View, turn: Turn) -> None:
    """Say in the answer about a settlement born in this turn where it is sealed: that is known only now."""
    settlement = view.get("settlement")
    if isinstance(settlement, dict) and settlement["entry_hash"] is None:
        seq = book.recall.dossiers[int(settlement["id"][1:])].seq
        settlement |= {"entry": seq, "entry_hash": turn.entries[book.key, seq].hash}


def _misunderstood(standing: Standing, said: Misunderstood) -> CommandRefused:
    if said.refused.code is Code.UNKNOWN_COMMAND:
        return name_what_there_is(said.refused, said.verb, standing.roles)
    return said.refused
