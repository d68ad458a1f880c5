"""The journal, its first projections, the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything of the first release."""

    op.create_table(
        "answered",
        sa.Column("event_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "book",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "refusal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "runtime",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "balance",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("amount", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "account", "unit"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("event_id", sa.LargeBinary(length=32), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "seq"),
        sa.UniqueConstraint("event_id", "book", name="entry_event"),
    )
    op.create_table(
        "leg",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("settlement", sa.BigInteger(), nullable=True),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("lp", sa.String(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("sats", sa.BigInteger(), nullable=False),
        sa.Column("fiat_minor", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reversed_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "leg_apart",
        "leg",
        ["book", "settlement", "number"],
        unique=False,
        sqlite_where=sa.text("settlement IS NULL"),
        postgresql_where=sa.text("settlement IS NULL"),
    )
    op.create_index(
        "leg_lp",
        "leg",
        ["book", "lp", "number"],
        unique=False,
        sqlite_where=sa.text("lp IS NOT NULL"),
        postgresql_where=sa.text("lp IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("book", sa.Integer(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("delivered", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "settlement",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("payment_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "number"),
    )
    op.create_index(
        "settlement_open",
        "settlement",
        ["book", "status", "number"],
        unique=False,
        sqlite_where=sa.text("status <> 'processed'"),
        postgresql_where=sa.text("status <> 'processed'"),
    )
    op.create_index(
        "settlement_payment",
        "settlement",
        ["book", "payment_hash"],
        unique=True,
        sqlite_where=sa.text("accepted"),
        postgresql_where=sa.text("accepted"),
    )
    op.create_table(
        "alarm",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sighting",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "machine"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archive",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "settlement_change",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "number", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshot",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "seq"),
    )
