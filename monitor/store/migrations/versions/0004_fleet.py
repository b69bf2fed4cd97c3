"""Several workers on one database: their fences, their shards, and the month that they share."""

from typing import Literal

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

from monitor.store.tables import NUMBER, TEXT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite alters a table by making it anew
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    recreate: Literal["always", "never"] = "always" if on_sqlite else "never"
    with op.batch_alter_table("fences") as fences:
        fences.drop_constraint(op.f("ck_fences_single"), type_="check")
        fences.add_column(sa.Column("name", TEXT, nullable=True))
        fences.add_column(sa.Column("watching_since", UTCDateTime(), nullable=True))
        no = sa.text("false")
        fences.add_column(sa.Column("offline", sa.Boolean(), nullable=False, server_default=no))
        fences.create_unique_constraint(op.f("uq_fences_name"), ["name"])
    with op.batch_alter_table("daemon") as daemon:
        daemon.drop_constraint(op.f("ck_daemon_single"), type_="check")
    for table in ("targets", "notifications"):
        with op.batch_alter_table(table, recreate=recreate) as batch:
            batch.add_column(sa.Column("shard", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_targets_shard"), "targets", ["shard"])
    op.create_table(
        "shards",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("worker_id", NUMBER, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("declared", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shards")),
    )
    op.create_table(
        "months",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("committed_usd", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_months")),
    )
    op.create_table(
        "fleet",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_fleet_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fleet")),
    )
