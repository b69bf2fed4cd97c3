"""Silences: the table of them, whose silence hid a notification, and the words of their ends."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

from monitor.store.tables import NUMBER, TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The words as they are from this revision on: a migration is never changed by a later word.
EVENTS = (
    "unverified",
    "propagating",
    "first_light",
    "shut_again",
    "unproven",
    "available",
    "baseline",
    "revoked",
    "locked",
    "overdue",
    "blocked",
    "unblocked",
    "stale",
    "retiring",
    "budget",
    "offline",
    "online",
    "silence_ended",
    "started",
    "stopping",
)
REASONS = (
    "gated",
    "gated_after_declaration",
    "open_at_first_probe",
    "first_granted",
    "refused_after_light",
    "answered_unproven",
    "settled",
    "relapse",
    "revocation",
    "locked_by_answer",
    "rejected_declared",
    "unlocked_by_answers",
    "verified_declared",
    "cleared_declared",
    "sibling_opened",
    "gave_up",
    "deadline_passed",
    "blocker_seen",
    "blocker_cleared",
    "nothing_conclusive",
    "shutdown_near",
    "shutdown_past",
    "budget_exhausted",
    "all_routes_fail",
    "a_route_answers",
    "silence_expired",
    "silence_ended_by_hand",
    "daemon_started",
    "daemon_stopping",
)
DELIVERY = ("pending", "delivered", "dead", "silenced")


def upgrade() -> None:
    op.create_table(
        "silences",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("patterns", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_silences_reason")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_silences_not_ended",
        "silences",
        ["id"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    with op.batch_alter_table("events", table_kwargs={"sqlite_autoincrement": True}) as batch:
        takes(batch, "events", "kind", EVENTS)
        takes(batch, "events", "reason", REASONS)
    with op.batch_alter_table("notifications") as batch:
        batch.add_column(sa.Column("silence_id", NUMBER, nullable=True))
        takes(batch, "notifications", "state", DELIVERY)
        batch.create_check_constraint(
            op.f("ck_notifications_silenced"),
            "(state = 'silenced') = (silence_id IS NOT NULL)",
        )
        batch.create_foreign_key(
            op.f("fk_notifications_silence_id"), "silences", ["silence_id"], ["id"]
        )
        batch.create_index(
            "ix_notifications_silenced",
            ["silence_id"],
            sqlite_where=sa.text("silence_id IS NOT NULL"),
            postgresql_where=sa.text("silence_id IS NOT NULL"),
        )


def takes(batch, table: str, column: str, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """Let a column take these words and no others."""
    listed = ", ".join(f"'{word}'" for word in words)
    name = op.f(f"ck_{table}_{column}")
    batch.drop_constraint(name, type_="check")
    batch.create_check_constraint(name, f"{column} IN ({listed})")
