"""Reading: answers to questions, from the books in memory and the journal in the database.

What lives here: who answers what, and what everyone and the platform may ask. What does not: commands that change a
book (core/engine.py) and sentences (messages/replies.py).
"""

from collections.abc import Awaitable, Callable, Mapping

from nostrbot.core.atm.fleet import MachineStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Answerer
from nostrbot.core.table import SPECS, TABLE
from nostrbot.nostr.keys import npub
from nostrbot.reading.lps import LpReading
from nostrbot.reading.operators import OperatorReading
from nostrbot.reading.pages import page_of
from nostrbot.reading.previews import add_last_month
from nostrbot.reading.proofs import ProofReading
from nostrbot.reading.question import Question
from nostrbot.reading.reports import ReportReading
from nostrbot.reading.stacking import StackReading
from nostrbot.reading.statements import StatementReading
from nostrbot.store.queries import Queries
from nostrbot.views.fitting import Data
from nostrbot.views.records import operator_view, platform_view


class Reading:
    """The answers to all questions, over live books and stored entries."""

    def __init__(
        self, books: Mapping[str, Book], sightings: Mapping[tuple[str, str], MachineStatus], queries: Queries
    ) -> None:
        self._books = books
        self._queries = queries
        self._readers: Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]] = {
            "operator list": self._operators,
            "platform status": self._platform,
            **OperatorReading(books, sightings, queries).readers,
            **ReportReading(books, queries).readers,
            **LpReading(books, queries).readers,
            **ProofReading(books, queries).readers,
            **StackReading(books, queries).readers,
            **StatementReading(books, queries).readers,
            "help": self._help,
            "whoami": self._whoami,
        }
        asked = {form.verb for form in TABLE if not form.changes and form.answerer is Answerer.READING}
        assert set(self._readers) == asked

    async def answer(self, question: Question) -> Data | CommandRefused:
        """Return the data of the answer, or why there is none."""
        if question.begun is not None:
            return await add_last_month(self._books, self._queries, question, question.begun)
        return await self._readers[question.command.verb](question)

    async def _operators(self, question: Question) -> Data | CommandRefused:
        root = self._books[ROOT]
        return page_of(
            "operators",
            ((operator.handle, operator) for operator in reversed(root.operators.values())),
            lambda operator: operator_view(
                operator,
                root.key_in_force(operator.operator),
                active=operator.operator not in root.suspended_operators,
            ),
            question.args,
        )

    async def _platform(self, question: Question) -> Data | CommandRefused:
        root = self._books[ROOT]
        return {"platform": platform_view(root.cash_in_ppm, root.cash_out_ppm, len(root.operators))}

    async def _help(self, question: Question) -> Data | CommandRefused:
        topic = question.args["topic"]
        if topic in SPECS:
            form = SPECS[topic]
            return {"help": {"usage": form.usage, "summary": form.summary, "example": form.example}}
        roles = question.standing.roles
        forms = [form for form in TABLE if form.is_for(roles) and form.verb.startswith(topic)]
        if not forms:
            return CommandRefused(Code.NOT_FOUND, f"there is no help on {topic[:40]!r}: say `help`")
        return {"help": {"commands": [{"usage": form.usage, "summary": form.summary} for form in forms]}}

    async def _whoami(self, question: Question) -> Data | CommandRefused:
        standing, names = question.standing, []
        if standing.platform:
            names.append("the platform")
        if standing.operator is not None:
            names.append(f"operator {self._books[standing.operator].handle}")
        books = [self._books[key] for key in standing.lp]
        names += [f"LP {book.lp_of_key[question.author]} with {book.handle}" for book in books]
        if standing.machine is not None:
            book = self._books[standing.machine]
            names.append(f"machine {book.machine_of_key[question.author]} of {book.handle}")
        return {"whoami": {"npub": npub(question.author), "roles": names}}
