"""Papers held against a trail: true ones fit, altered ones and other people's do not (faults.md row 87)."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from nostrbot.audit.evidence import EvidenceError, read_checkpoint_paper, read_receipt_paper
from nostrbot.audit.summary import Summary
from nostrbot.audit.verification import verify_trail
from nostrbot.core.proofs.checkpoint import checkpoint_content, subject_of
from nostrbot.core.proofs.liabilities import Leaves, Standpoint, Tree, balances_of
from nostrbot.messages.receipts import payment_of, receipt_view
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.keys import Keys
from tests.audit.test_verification import Trail
from tests.houses import BOT, House, person

Plain = dict[str, Any]
ANA, BEN = person("ana").pubkey, person("ben").pubkey


class Watched:
    """A house of which checkpoints and receipts are kept while it lives."""

    def __init__(self) -> None:
        self.house = House.open()
        self.house.add_lp("ana", "9000")
        self.house.add_lp("ben", "1000")
        self.house.sell()
        self.sold = self.house.chain.seq
        self.early = self.checkpoint()
        self.receipts = {lp: self.receipt(lp) for lp in ("ana", "ben")}
        self.house.say("operator", 'settlement partial s1 fiat=1000.00 note="jam"')
        self.corrected = self.receipt("ana")
        self.house.sell(fiat="100.00")
        self.late = self.checkpoint()

    def checkpoint(self, keys: Keys = BOT, **changes: Any) -> Plain:
        """A checkpoint's event, of now unless something is changed."""
        book, chain = self.house.book, self.house.chain
        of = {"bot": keys.pubkey, "book": book.key, "seq": chain.seq, "head": chain.head} | changes
        balances = of.pop("balances", balances_of(book))
        tree = Tree(Leaves(bytes(32), balances))
        content = checkpoint_content(Standpoint(**of), tree, None)
        tags = [["d", subject_of(of["book"])]]
        return sign_event(keys, kind=78, tags=tags, content=content, created_at=self.house.now).plain()

    def receipt(self, lp: str) -> Plain:
        """What `receipt <leg> --json` answers about the newest leg of an LP."""
        entry = self.house.entries[-1]
        fact = entry.facts[0]
        paid, leg = payment_of(fact), next(leg for leg in fact.legs if leg.lp == lp)
        view = receipt_view(self.house.book, paid, leg, entry=entry.seq, entry_hash=entry.hash)
        return {"ok": True, "command": "receipt", "data": orjson.loads(orjson.dumps(view))}


WATCHED = Watched()


@pytest.fixture(scope="module")
def trail() -> Trail:
    return WATCHED.house.trail()


def held_against(
    trail: Trail, *, checkpoints: tuple[Plain, ...] = (), receipts: tuple[Plain, ...] = (), lp: Any = None
) -> Summary:
    """The papers, written and read, held against a trail."""
    return verify_trail(
        trail,
        checkpoints=[read_checkpoint_paper(orjson.dumps(one)) for one in checkpoints],
        receipts=[read_receipt_paper(orjson.dumps(one)) for one in receipts],
        lp=lp,
    )


def trouble(trail: Trail, **papers: Any) -> tuple[int, str]:
    with pytest.raises(EvidenceError) as refused:
        held_against(trail, **papers)
    assert str(refused.value).startswith(f"{refused.value.field}: ")
    return refused.value.seq, refused.value.field


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_true_checkpoints_fit(trail: Trail) -> None:
    """Bot, book, head and what was owed, each at its own entry; and each as often as it is given."""
    found = held_against(trail, checkpoints=(WATCHED.late, WATCHED.early, WATCHED.early))
    assert (found.checkpoints_checked, found.entries) == (3, WATCHED.house.chain.seq)


def test_a_checkpoint_shows_that_the_end_was_cut(trail: Trail) -> None:
    """Without one, a trail that lacks its last entries is a true one; with one it is not."""
    cut = trail[:-1]
    assert verify_trail(cut).entries == WATCHED.house.chain.seq - 1
    assert trouble(cut, checkpoints=(WATCHED.late,)) == (WATCHED.house.chain.seq, "checkpoint.seq")
    assert held_against(cut, checkpoints=(WATCHED.early,)).checkpoints_checked == 1


def test_a_checkpoint_of_another_history(trail: Trail) -> None:
    """The bot signed another head for this entry: two histories."""
    other = Watched.__new__(Watched)
    other.house = House.open()
    other.house.add_lp("ana", "9000")
    other.house.add_lp("ben", "1000")
    other.house.sell(txid="other")
    assert trouble(trail, checkpoints=(other.checkpoint(),)) == (WATCHED.sold, "checkpoint.head")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"book": person("other").pubkey}, "checkpoint.book"),
        ({"head": "00" * 32}, "checkpoint.head"),
        ({"seq": 5}, "checkpoint.head"),
        ({"balances": {ANA: {"sat": 1, "GTQ": 5}}}, "checkpoint.liabilities"),
        ({"balances": {}}, "checkpoint.liabilities"),
        ({"keys": person("another bot")}, "checkpoint.bot"),
    ],
)
def test_a_checkpoint_that_says_something_else(trail: Trail, changes: Plain, field: str) -> None:
    """Well signed, and wrong."""
    false = WATCHED.checkpoint(**changes)
    assert trouble(trail, checkpoints=(false,))[1] == field


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.update(content=event["content"].replace("GTQ", "USD")),
        lambda event: event.update(sig=event["sig"][:-1] + ("0" if event["sig"][-1] != "0" else "1")),
        lambda event: event.update(kind=1),
        lambda event: event.pop("tags"),
        lambda event: event.update(id="00" * 32),
    ],
)
def test_a_checkpoint_that_nobody_signed(change: Callable[[Plain], object]) -> None:
    """It is refused before the trail is read."""
    altered = dict(WATCHED.late)
    change(altered)
    with pytest.raises(EvidenceError) as refused:
        read_checkpoint_paper(orjson.dumps(altered))
    assert (refused.value.seq, refused.value.field) == (0, "checkpoint")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"[" * 9_000, b" " * 500_000])
def test_what_is_no_paper(raw: bytes) -> None:
    """Whatever stands in a file is answered, and never a crash."""
    with pytest.raises(EvidenceError):
        read_checkpoint_paper(raw)
    with pytest.raises(EvidenceError):
        read_receipt_paper(raw)


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_true_receipts_fit(trail: Trail) -> None:
    """Of any LP, as the whole answer or as its data; one that a correction replaced was true, and is void by now."""
    ana, ben = WATCHED.receipts["ana"], WATCHED.receipts["ben"]
    found = held_against(trail, receipts=(ana, ben["data"], WATCHED.corrected))
    assert (found.receipts_checked, found.receipts_voided) == (3, 2)
    assert held_against(trail, receipts=(ana,), lp=ANA).receipts_checked == 1
    assert held_against(trail[: WATCHED.sold + 1], receipts=(ana,)).receipts_voided == 0


def test_a_void_receipt_says_so(trail: Trail) -> None:
    """Asked for again after the correction, the receipt is void: true of this trail, and not of one that ends before."""
    void = WATCHED.receipts["ana"]["data"] | {"status": "voided"}
    assert held_against(trail, receipts=(void,)).receipts_voided == 0
    assert trouble(trail[: WATCHED.sold + 1], receipts=(void,)) == (WATCHED.sold, "receipt.status")


def test_a_receipt_of_another_lp(trail: Trail) -> None:
    """A true one, but not that LP's."""
    assert trouble(trail, receipts=(WATCHED.receipts["ana"],), lp=BEN) == (WATCHED.sold, "receipt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "skipped"),
        ("settlement", "s2"),
        ("settlement", None),
        ("event_id", "00" * 32),
        ("operator", "coban"),
        ("machine", "m2"),
        ("sats", 90_001),
        ("sats", "90000"),
        ("sats", 90_000.0),
        ("fiat", "1800.01"),
        ("fiat", "1800"),
        ("currency", "USD"),
        ("rate", "51"),
        ("balance_before", "9000.01"),
        ("balance_after", None),
        ("entry_hash", "00" * 32),
        ("tag", "none"),
        ("bonus", 5),
    ],
)
def test_an_altered_receipt(trail: Trail, name: str, value: object) -> None:
    """Whatever was altered is named."""
    altered = WATCHED.receipts["ana"]["data"] | {name: value}
    assert trouble(trail, receipts=(altered,)) == (WATCHED.sold, f"receipt.{name}")


@pytest.mark.parametrize("name", sorted(set(WATCHED.receipts["ana"]["data"]) - {"corrects", "entry", "receipt"}))
def test_a_receipt_that_lacks_something(trail: Trail, name: str) -> None:
    """It is no whole receipt."""
    altered = {key: value for key, value in WATCHED.receipts["ana"]["data"].items() if key != name}
    assert trouble(trail, receipts=(altered,)) == (WATCHED.sold, f"receipt.{name}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"receipt": "l99"}, (12, "receipt.receipt")),
        ({"receipt": "l1"}, (12, "receipt.receipt")),
        ({"entry": 11}, (11, "receipt.receipt")),
        ({"entry": 13}, (13, "receipt.receipt")),
        ({"entry": 99}, (99, "receipt.entry")),
        ({"entry": 0}, (0, "receipt.entry")),
        ({"entry": "12"}, (0, "receipt.entry")),
        ({"entry": True}, (0, "receipt.entry")),
        ({"receipt": 3}, (12, "receipt.receipt")),
        ({"receipt": "l"}, (12, "receipt.receipt")),
        ({"receipt": "l٣"}, (12, "receipt.receipt")),
        ({"receipt": "l" + "9" * 5_000}, (12, "receipt.receipt")),
    ],
)
def test_a_receipt_that_names_another_place(trail: Trail, changes: Plain, expected: tuple[int, str]) -> None:
    """An entry that made no such payment, or a leg that was nobody's receipt."""
    assert WATCHED.sold == 12
    assert trouble(trail, receipts=(WATCHED.receipts["ana"]["data"] | changes,)) == expected


def test_a_receipt_that_says_a_thing_twice_is_none() -> None:
    """Its reader may see the one, a program the other."""
    raw = orjson.dumps(WATCHED.receipts["ana"])
    assert read_receipt_paper(raw).entry
    with pytest.raises(EvidenceError, match="is not the JSON of a receipt"):
        read_receipt_paper(raw.replace(b'"entry":', b'"entry":1,"entry":', 1))


# --- what a corrected receipt stands in the place of --------------------------------------------------------------------


def test_a18_a_receipt_is_checked_whole(trail: Trail) -> None:
    """The message to the LP names the receipts it replaces: those of the corrected sale, or none in the answer to `receipt`."""
    voided = WATCHED.receipts["ana"]["data"]["receipt"]
    for corrects, fits in (([], True), ([voided], True), (["l999"], False), ([voided, voided], False), (None, False)):
        said = {**WATCHED.corrected["data"], "corrects": corrects}
        if fits:
            assert held_against(trail, receipts=(said,)).receipts_checked == 1
        else:
            assert trouble(trail, receipts=(said,)) == (said["entry"], "receipt.corrects")
    first = {**WATCHED.receipts["ana"]["data"], "corrects": [voided]}
    assert trouble(trail, receipts=(first,)) == (first["entry"], "receipt.corrects")
