"""Checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what trust rests on."""

    op.create_table(
        "checkpoint",
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["book"],
            ["book.id"],
        ),
        sa.PrimaryKeyConstraint("book", "number"),
    )
