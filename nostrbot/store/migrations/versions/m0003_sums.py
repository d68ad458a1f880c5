"""Sums of legs and of settlements, by quarters of an hour and by months."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AMOUNTS = (
    "booked",
    "wire_sats",
    "fiat_minor",
    "principal_sats",
    "mismatch_sats",
    "owed_sats",
    "platform_sats",
    "yours_sats",
    "lps_sats",
    "others_sats",
    "to_lps_count",
    "to_lps_sats",
    "to_lps_minor",
    "own_count",
    "own_sats",
    "own_minor",
)


def upgrade() -> None:
    """Add the tables. In an existing home, store/schema.py fills them in the same transaction."""

    op.add_column("settlement", sa.Column("figures", sa.LargeBinary(), nullable=True))
    for name in ("leg_quarter", "leg_month"):
        op.create_table(
            name,
            sa.Column("book", sa.Integer(), nullable=False),
            sa.Column("lp", sa.String(), nullable=False),
            sa.Column("what", sa.String(), nullable=False),
            sa.Column("start", sa.BigInteger(), nullable=False),
            sa.Column("machine", sa.String(), nullable=False),
            sa.Column("type", sa.String(), nullable=False),
            *_counted("count", "sats_high", "sats_low", "fiat_high", "fiat_low"),
            *_counted("first_number", "last_number", "first_at", "last_at"),
            sa.ForeignKeyConstraint(["book"], ["book.id"]),
            sa.PrimaryKeyConstraint("book", "lp", "what", "start", "machine", "type"),
            sqlite_with_rowid=False,
        )
    for name in ("sale_quarter", "sale_month"):
        op.create_table(
            name,
            sa.Column("book", sa.Integer(), nullable=False),
            sa.Column("start", sa.BigInteger(), nullable=False),
            sa.Column("machine", sa.String(), nullable=False),
            sa.Column("direction", sa.String(), nullable=False),
            sa.Column("status", sa.String(), nullable=False),
            sa.Column("reason", sa.String(), nullable=False),
            *_counted("count", "beyond", *[f"{amount}_{half}" for amount in AMOUNTS for half in ("high", "low")]),
            *_counted("first_number", "last_number"),
            sa.ForeignKeyConstraint(["book"], ["book.id"]),
            sa.PrimaryKeyConstraint("book", "start", "machine", "direction", "status", "reason"),
            sqlite_with_rowid=False,
        )


def _counted(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]
