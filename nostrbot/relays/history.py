"""History: walking back through what a relay has stored, page by page.

What lives here: where the next page begins and when the walk is over. What does not: asking and waiting (watch.py).

Relays cap a REQ at some number of events they do not tell, newest first, so after each page we ask for what is older.
A page may end in the middle of a second, and `until` includes its second on most relays but not on all (NIP-01 says
it does; nostr-relay 1.14 compares with <). So the next page overlaps: it begins one second above the oldest event seen.
Only when a page brings nothing new do we step further down, and an empty page is the end. A page of nothing but events
that cannot be read is not: a relay may keep some that are dated beyond all that we count in, and gives them first.
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

from typing import Final

from nostrbot.nostr.event import Event

AHEAD_MAX_S: Final = 86_400  # what is dated further ahead of our clock nobody obeys


class History:
    """One walk from now back to `since`. Counts only verified events: an unverified date could lead us anywhere."""

    __slots__ = (
        "_edge",
        "_edge_ids",
        "_page_edge_ids",
        "_page_is_empty",
        "_page_is_unreadable",
        "_page_oldest",
        "_pages_left",
        "_since",
        "newest",
    )

    def __init__(self, *, since: int | None, pages_max: int) -> None:
        self.newest: int | None = None
        self._since = since or 0
        self._pages_left = pages_max
        self._edge: int | None = None  # the second we have come to; all above it was seen
        self._edge_ids: set[str] = set()  # what was seen in that second
        self._start_page()

    def _start_page(self) -> None:
        self._page_is_empty = True
        self._page_is_unreadable = False
        self._page_oldest: int | None = None  # of the events that are new
        self._page_edge_ids: set[str] = set()  # seen in the second `_page_oldest`

    @property
    def until(self) -> int | None:
        """The `until` of the page to ask for; None = from now."""
        return None if self._edge is None else self._edge + 1

    @property
    def is_page_empty(self) -> bool:
        """Whether nothing of this page has arrived."""
        return self._page_is_empty

    def note(self, event: Event) -> None:
        """Note an event of this page, verified and matching."""
        at = event.created_at
        if self.until is not None and at > self.until:
            return  # live traffic, or a relay that does not know `until`
        self._page_is_empty = False
        if self._edge is not None and (at > self._edge or event.id in self._edge_ids):
            return
        if self.newest is None or at > self.newest:
            self.newest = at
        if self._page_oldest is None or at < self._page_oldest:
            self._page_oldest = at
            self._page_edge_ids = set()
        if at == self._page_oldest:
            self._page_edge_ids.add(event.id)

    def note_unreadable(self) -> None:
        """Note a frame on this page that is not an event to us."""
        self._page_is_unreadable = True

    def turn(self, unix_now: int) -> bool:
        """End the page. True if another must be asked for, with the new `until`."""
        self._pages_left -= 1
        if self._page_is_empty and self._page_is_unreadable and self._edge is None:
            self._edge = unix_now + AHEAD_MAX_S
            self._start_page()
            return self._pages_left > 0
        if self._page_is_empty or self._pages_left <= 0:
            return False
        if self._page_oldest is None:  # nothing new: the second is exhausted, or holds more than the relay gives
            assert self._edge is not None, "on the first page everything is new"
            self._edge -= 1
            self._edge_ids = set()
        elif self._page_oldest == self._edge:
            self._edge_ids |= self._page_edge_ids
        else:
            self._edge = self._page_oldest
            self._edge_ids = self._page_edge_ids
        self._start_page()
        return self._edge >= self._since
