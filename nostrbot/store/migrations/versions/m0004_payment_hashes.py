"""Payment hashes belong to machines."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let several accepted settlements of a book have one payment hash."""
    op.drop_index("settlement_payment", table_name="settlement")
    op.create_index(
        "settlement_payment",
        "settlement",
        ["book", "payment_hash"],
        unique=False,
        sqlite_where=sa.text("accepted"),
        postgresql_where=sa.text("accepted"),
    )
