"""Tables: the journal, its projections, the outbox, as SQLAlchemy Core sees them.

What lives here: columns and indexes. What does not: how they came to be (migrations/), who writes them (writer.py).

`entry` is the truth: everything else can be made from it again. Postings are sealed inside their entry and summed in
`balance`; a row for each would be half of all rows and answer no question that those two do not. Few, narrow rows:
rows and indexes are what a commit costs. Ids of events and hashes are 32 raw bytes; times are unix seconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from nostrbot.core.atm.takings import Amounts

metadata = MetaData()

book = Table(
    "book",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),  # hex of the operator, or "root"
)

entry = Table(
    "entry",
    metadata,
    # The fence: two writers can never both append entry n of a book.
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("event_id", LargeBinary(32)),  # none where the input is an observation
    Column("body", LargeBinary, nullable=False),
    # An event has at most one effect in a book, for ever.
    UniqueConstraint("event_id", "book", name="entry_event"),
)

settlement = Table(
    "settlement",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("machine", String, nullable=False),
    Column("status", String, nullable=False),
    Column("payment_hash", LargeBinary(32), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of the entry it was born in
    Column("at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),  # when it came to its status
    Column("figures", LargeBinary),  # what it adds to the sums below, as JSON (core/atm/takings.py)
)
# The entries after its birth in which something became of a settlement.
settlement_change = Table(
    "settlement_change",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
# The index that a repeat is known by. It is not unique: each machine has its own hashes, and an undone sale frees its
# hash (core/atm/settlements/payment_hashes.py).
Index(
    "settlement_payment",
    settlement.c.book,
    settlement.c.payment_hash,
    sqlite_where=text("accepted"),
    postgresql_where=text("accepted"),
)
# The worklist: everything that is not simply processed.
Index(
    "settlement_open",
    settlement.c.book,
    settlement.c.status,
    settlement.c.number,
    sqlite_where=text("status <> 'processed'"),
    postgresql_where=text("status <> 'processed'"),
)

leg = Table(
    "leg",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("settlement", BigInteger),  # none: paid apart from any
    Column("machine", String, nullable=False),
    Column("lp", String),
    Column("type", String, nullable=False),
    Column("status", String, nullable=False),
    Column("sats", BigInteger, nullable=False),
    Column("fiat_minor", BigInteger),
    Column("seq", BigInteger, nullable=False),  # of the entry it was made in
    Column("reversed_seq", BigInteger),  # of the entry its booking was reversed in
    sqlite_with_rowid=False,
)
Index(
    "leg_lp",
    leg.c.book,
    leg.c.lp,
    leg.c.number,
    sqlite_where=text("lp IS NOT NULL"),
    postgresql_where=text("lp IS NOT NULL"),
)
# What LPs were paid apart from any settlement. The column that is always empty is there so that SQLite sees its use.
Index(
    "leg_apart",
    leg.c.book,
    leg.c.settlement,
    leg.c.number,
    sqlite_where=text("settlement IS NULL"),
    postgresql_where=text("settlement IS NULL"),
)


def _leg_sums(name: str) -> Table:
    """Make a table of sums of legs from `start` on, by owner (sums.py); amounts as halves of 32 bits."""
    return Table(
        name,
        metadata,
        Column("book", ForeignKey("book.id"), primary_key=True),
        Column("lp", String, primary_key=True),  # "" for all parties
        Column("what", String, primary_key=True),
        Column("start", BigInteger, primary_key=True),
        Column("machine", String, primary_key=True),
        Column("type", String, primary_key=True),
        Column("count", BigInteger, nullable=False),
        Column("sats_high", BigInteger, nullable=False),
        Column("sats_low", BigInteger, nullable=False),
        Column("fiat_high", BigInteger, nullable=False),
        Column("fiat_low", BigInteger, nullable=False),
        Column("first_number", BigInteger, nullable=False),
        Column("last_number", BigInteger, nullable=False),
        Column("first_at", BigInteger, nullable=False),
        Column("last_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _sale_sums(name: str) -> Table:
    """Make a table of sums of settlements born from `start` on, as they stand now."""
    halves = [f"{amount}_{half}" for amount in Amounts._fields for half in ("high", "low")]
    return Table(
        name,
        metadata,
        Column("book", ForeignKey("book.id"), primary_key=True),
        Column("start", BigInteger, primary_key=True),
        Column("machine", String, primary_key=True),
        Column("direction", String, primary_key=True),
        Column("status", String, primary_key=True),
        Column("reason", String, primary_key=True),  # of rejected ones, else ""
        Column("count", BigInteger, nullable=False),
        Column("beyond", BigInteger, nullable=False),  # how many are counted although their amounts are in no sum
        *[Column(half, BigInteger, nullable=False) for half in halves],
        Column("first_number", BigInteger, nullable=False),
        Column("last_number", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


leg_quarter, leg_month = _leg_sums("leg_quarter"), _leg_sums("leg_month")
sale_quarter, sale_month = _sale_sums("sale_quarter"), _sale_sums("sale_month")

balance = Table(
    "balance",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("account", String, primary_key=True),
    Column("unit", String, primary_key=True),
    Column("amount", String, nullable=False),  # decimal digits: a sum may outgrow 64 bits, and must not become a float
    sqlite_with_rowid=False,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),  # of the entry it stands on
    Column("digest", LargeBinary(32), nullable=False),  # of the body
    Column("body", LargeBinary, nullable=False),
)

# Signed and published, for ever. `leaves` is what proofs are made from; only the newest have it (writer.py).
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of the entry it speaks of
    Column("event", LargeBinary, nullable=False),
    Column("leaves", LargeBinary),
)

# What was decided and not yet confirmed by relays. A row for an entry derives its messages from the entry; a row with a
# body carries the answer to a command, or an event that is signed already. `delivered` lists the positions already
# accepted.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("book", ForeignKey("book.id")),
    Column("seq", BigInteger),
    Column("body", LargeBinary),
    Column("delivered", LargeBinary),
    sqlite_autoincrement=True,
)

# Commands that had their answer, so that none is obeyed or answered twice.
answered = Table(
    "answered",
    metadata,
    Column("event_id", LargeBinary(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

refusal = Table(
    "refusal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("author", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("detail", String, nullable=False),
    sqlite_autoincrement=True,
)

# What is known of each machine from its beacons and telemetry; no part of its book.
sighting = Table(
    "sighting",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("machine", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What each operator was told without asking: alerts that last, and the day of the last fleet sheet.
alarm = Table(
    "alarm",
    metadata,
    Column("book", ForeignKey("book.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Signed events of machines that told something new and are no journal entry, as they came.
archive = Table(
    "archive",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("book", ForeignKey("book.id"), nullable=False),
    Column("machine", String, nullable=False),
    Column("event", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# What the running bot tells `nostrbot status`: its heartbeat and its relays' health. And who wrote last what is written
# over.
LAST_WRITER = "writer"
runtime = Table(
    "runtime",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
