"""Status: what a person or a health check sees of a bot, from its database alone.

What lives here: reading it and putting it into words. What does not: the running bot, which leaves its heartbeat in the
database (bot.py).
"""

from typing import Any

import orjson

from nostrbot.core.book import ROOT
from nostrbot.core.facts import read_fact
from nostrbot.core.platform.facts import BookOpened
from nostrbot.core.proofs.checkpoint import Checkpoint, read_checkpoint
from nostrbot.errors import BooksError
from nostrbot.home.config import Home
from nostrbot.journal.entry import GENESIS
from nostrbot.monitoring.commit_times import took_at_most_s
from nostrbot.monitoring.health import book_name, why_unhealthy
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.keys import npub
from nostrbot.store.checkpoints import StoredCheckpoint
from nostrbot.store.store import Store
from nostrbot.store.stored import StoredEntry, read_linked

NOT_RUNNING = "it is not running, or gave no sign of life"


async def read_status(home: Home, bot: str, now: int, stale_after_s: int) -> dict[str, Any]:
    """Books, heads, backlog, refusals and relays. `healthy`: nothing stands in `unhealthy_because`."""
    store = await Store.open_as_it_is(home.database_url())
    try:
        books, signed = [], await store.queries.checkpoints.newest()
        for key, entries, head, at in await store.queries.heads():
            handle = ROOT if key == ROOT else _handle((await store.queries.entries_at(key, [1])).get(1))
            operator = None if key == ROOT else npub(key)
            book = {"book": handle, "operator": operator, "entries": entries, "head": head, "at": at}
            books.append({**book, "checkpoint": _checkpoint(signed.get(key))})
        backlog, _ = await store.queries.outbox_state()
        told = await store.queries.runtime("bot") or {}
        logged = await store.queries.refusals_logged()
    finally:
        await store.close()
    running = bool(told) and now - told["at"] <= stale_after_s
    relays = told.get("relays", [])
    because = why_unhealthy(told) if running else [NOT_RUNNING]
    return {
        "npub": bot,
        "running": running,
        "healthy": not because,
        "unhealthy_because": because,
        "heard_at": told.get("at"),
        "started_at": told.get("started_at"),
        "books": books,
        "entries": sum(book["entries"] for book in books),
        "backlog": backlog,
        "inbox": told.get("inbox"),
        "commits": _commits(told.get("commits")),
        "refusals": told.get("refusals", {}),
        "refusals_logged": logged,
        "closed_books": [book_name(key) for key in told.get("closed_books", [])],
        "closed_because": {book_name(key): reason for key, reason in told.get("closed_because", {}).items()},
        "troubles": [{**one, "book": book_name(one["book"])} for one in told.get("troubles", [])],
        "relays": relays,
        "subscriptions": told.get("subscriptions", []),
        "courier": told.get("courier"),
    }


def _handle(first: StoredEntry | None) -> str:
    """Return the name a book was opened with, if that can still be read."""
    try:
        facts = [] if first is None else read_linked(first, GENESIS)["facts"]
    except BooksError:
        facts = []
    opened = read_fact(facts[0]) if facts else None
    return opened.handle if isinstance(opened, BookOpened) else "(damaged)"


def _checkpoint(stored: StoredCheckpoint | None) -> dict[str, Any] | None:
    """Return the last signed checkpoint, if that can still be read."""
    event = None if stored is None else read_event(orjson.loads(stored.event))
    checkpoint = read_checkpoint(event) if isinstance(event, VerifiedEvent) else None
    if not isinstance(checkpoint, Checkpoint):
        return None
    return {"id": checkpoint.id, "entry": checkpoint.standpoint.seq, "at": checkpoint.at}


def _commits(told: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the number of commits since the start, and the most that half of them and 99 of 100 took (None: over a
    minute).
    """
    if told is None:
        return None
    half, most = (took_at_most_s(told, parts, 100) for parts in (50, 99))
    return {"count": told["count"], "failed": told["failed"], "p50_max_s": half, "p99_max_s": most}


def _length(bound_s: float | None) -> str:
    return "more than a minute" if bound_s is None else f"{1_000 * bound_s:g} ms"


def status_words(state: dict[str, Any]) -> str:
    """Return the status as a person reads it."""
    lines = [f"bot {state['npub']}: {'running' if state['running'] else 'not running'}"]
    for book in state["books"]:
        signed = f", signed up to entry {book['checkpoint']['entry']}" if book["checkpoint"] else ""
        lines.append(f"book {book['book']}: {book['entries']} entries, head {book['head']}{signed}")
    undecided = f", {state['inbox']} that came in to be decided" if state["running"] and state["inbox"] else ""
    lines.append(f"backlog: {state['backlog']} to be delivered{undecided}")
    commits = state["commits"]
    if state["running"] and commits is not None and commits["count"]:
        half, most = (_length(commits[name]) for name in ("p50_max_s", "p99_max_s"))
        lines.append(f"commits: {commits['count']}, half of them within {half}, 99 of 100 within {most}")
    for relay in state["relays"]:
        link = "connected" if state["running"] and relay["connected"] else "not connected"
        trouble = f", last trouble: {relay['last_trouble']}" if relay["last_trouble"] else ""
        lines.append(f"relay {relay['url']}: {link}, last event {relay['last_event_at'] or 'never'}{trouble}")
        if state["running"] and relay["connected"]:
            lines += _not_served(relay)
    courier = state["courier"]
    if courier and any(courier.values()):
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in courier.items() if count)
        lines.append(f"relays that people announced: {counts}")
    if state["refusals"]:
        lines.append("refused: " + ", ".join(f"{reason} {count}" for reason, count in state["refusals"].items()))
    if state["closed_books"]:
        names = {book["operator"]: book["book"] for book in state["books"]}
        for one in state["closed_books"]:
            because = state["closed_because"].get(one)
            lines.append(f"CLOSED for repair: {names.get(one, one)}" + (f": {because}" if because else ""))
    names = {book["operator"]: book["book"] for book in state["books"]}
    lines += [
        f"TROUBLE in {names.get(one['book'], one['book'])}: {one['why']}, {one['count']} times so far"
        for one in state["troubles"]
    ]
    if state["running"] and not state["healthy"]:
        lines += [f"not healthy: {why}" for why in state["unhealthy_because"]]
    return "\n".join(lines)


def _not_served(relay: dict[str, Any]) -> list[str]:
    """Return what a relay does not let the bot hear, and its words; subscriptions with the same words share a line."""
    names: dict[str, list[str]] = {}
    for name, service in relay.get("subscriptions", {}).items():
        if service["state"] != "in_force":
            words = f", {service['words']!r}" if service["words"] else ""
            names.setdefault(f"{service['state']}{words}", []).append(name)
        elif service["unread"]:
            names.setdefault(f"its store cannot be read, {service['unread']!r}", []).append(name)
    found = [f"relay {relay['url']} does not serve {', '.join(some)}: {how}" for how, some in names.items()]
    if not relay.get("accepts", True):
        found.append(f"relay {relay['url']} takes no messages: {relay['last_refusal']!r}")
    return found
