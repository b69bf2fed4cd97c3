"""The fence of a database that several machines can reach."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

from monitor.store.tables import NUMBER, TEXT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fences",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
        sa.Column("holder", TEXT, nullable=True),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_fences_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fences")),
    )
