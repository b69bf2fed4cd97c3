"""A count of retries, by which every worker of a fleet learns of one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    none = sa.text("0")
    with op.batch_alter_table("fleet") as fleet:
        fleet.add_column(sa.Column("retries", sa.Integer(), nullable=False, server_default=none))
