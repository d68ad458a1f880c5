"""Status: what a person or a health check sees of a bot, from its database alone.

What lives here: reading it and putting it into words. What does not: the running bot, which leaves its heartbeat in the
database (bot.py).
"""

from typing import Any

from nostrbot.config import Home
from nostrbot.core.book import ROOT
from nostrbot.core.facts import BookOpened, read_fact
from nostrbot.nostr.keys import npub
from nostrbot.store.store import Store


async def read_status(home: Home, bot: str, now: int, stale_after_s: int) -> dict[str, Any]:
    """Books, heads, backlog, refusals and relays. `healthy`: the bot told its state lately and hears a relay."""
    store = await Store.open_as_it_is(home.database_url())
    try:
        books = []
        for key, entries, head, at in await store.queries.heads():
            handle = ROOT
            if key != ROOT:
                first = (await store.queries.entries_at(key, [1]))[1]
                opened = read_fact(first.plain()["facts"][0])
                assert isinstance(opened, BookOpened), "the first entry of a book opens it"
                handle = opened.handle
            operator = None if key == ROOT else npub(key)
            books.append({"book": handle, "operator": operator, "entries": entries, "head": head, "at": at})
        backlog, _ = await store.queries.outbox_state()
        told = await store.queries.runtime("bot") or {}
        logged = await store.queries.refusals_logged()
    finally:
        await store.close()
    running = bool(told) and now - told["at"] <= stale_after_s
    relays = told.get("relays", [])
    hears = any(relay["connected"] for relay in relays)
    return {
        "npub": bot,
        "running": running,
        "healthy": running and hears and not told.get("closed_books"),
        "heard_at": told.get("at"),
        "started_at": told.get("started_at"),
        "books": books,
        "entries": sum(book["entries"] for book in books),
        "backlog": backlog,
        "refusals": told.get("refusals", {}),
        "refusals_logged": logged,
        "closed_books": [key if key == ROOT else npub(key) for key in told.get("closed_books", [])],
        "relays": relays,
        "courier": told.get("courier"),
    }


def status_words(state: dict[str, Any]) -> str:
    """The status as a person reads it."""
    lines = [f"bot {state['npub']}: {'running' if state['running'] else 'not running'}"]
    lines += [f"book {book['book']}: {book['entries']} entries, head {book['head']}" for book in state["books"]]
    lines.append(f"backlog: {state['backlog']} to be delivered")
    for relay in state["relays"]:
        link = "connected" if state["running"] and relay["connected"] else "not connected"
        trouble = f", last trouble: {relay['last_trouble']}" if relay["last_trouble"] else ""
        lines.append(f"relay {relay['url']}: {link}, last event {relay['last_event_at'] or 'never'}{trouble}")
    courier = state["courier"]
    if courier and any(courier.values()):
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in courier.items() if count)
        lines.append(f"relays that people announced: {counts}")
    if state["refusals"]:
        lines.append("refused: " + ", ".join(f"{reason} {count}" for reason, count in state["refusals"].items()))
    if state["closed_books"]:
        names = {book["operator"]: book["book"] for book in state["books"]}
        lines.append("CLOSED for repair: " + ", ".join(names.get(one, one) for one in state["closed_books"]))
    return "\n".join(lines)
