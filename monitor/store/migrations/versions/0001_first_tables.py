"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

from monitor.store.tables import NUMBER, TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The words as they were at this revision: a migration is never changed by a later word.
DECLARATIONS = ("verified", "rejected", "cleared")
CODES = (
    "access_granted",
    "verification_required",
    "verification_locked",
    "invalid_credentials",
    "account_deactivated",
    "organization_mismatch",
    "missing_scope",
    "project_denied",
    "model_unavailable",
    "region_blocked",
    "quota_exhausted",
    "tier_unsupported",
    "wrong_endpoint",
    "rate_limited",
    "server_error",
    "edge_error",
    "network_error",
    "moderation_blocked",
    "bad_request",
    "unrecognized",
)
CONTRACTS = ("direct", "provider")
HOLDS = (
    "breaker",
    "image gap",
    "announced limit",
    "route rate",
    "server asked to wait",
    "budget",
)
STATES = ("unknown", "unverified", "propagating", "available", "locked")
SURFACES = ("images", "edits", "image_tool", "responses", "chat", "stream", "summary", "models")
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
    "daemon_started",
    "daemon_stopping",
)
GATES = ("model", "stream", "summary")
PROBE_KINDS = ("full", "listing")
BEGAN = ("declared", "sibling", "again", "unseen")
DELIVERY = ("pending", "delivered", "dead")


def one_of(table: str, column: str, words: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def upgrade() -> None:
    op.create_table(
        "daemon",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("progress_at", UTCDateTime(), nullable=False),
        sa.Column("stopped_at", UTCDateTime(), nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_daemon_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daemon")),
    )
    op.create_table(
        "declarations",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("taken_at", UTCDateTime(), nullable=True),
        one_of("declarations", "kind", DECLARATIONS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declarations")),
        sa.UniqueConstraint(
            "kind", "subject", "at", "source", name=op.f("uq_declarations_kind_subject_at_source")
        ),
    )
    op.create_table(
        "inbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("taken_at", UTCDateTime(), nullable=True),
        sa.Column("reply", TEXT, nullable=True),
        sa.CheckConstraint("kind <> ''", name=op.f("ck_inbox_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
    )
    op.create_index(
        "ix_inbox_waiting",
        "inbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("taken_at IS NULL"),
        postgresql_where=sa.text("taken_at IS NULL"),
    )
    op.create_table(
        "spend",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("settled_usd", sa.Float(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.CheckConstraint("settled_usd >= 0", name=op.f("ck_spend_settled_usd")),
        sa.PrimaryKeyConstraint("key", "day", name=op.f("pk_spend")),
    )
    op.create_index(op.f("ix_spend_day"), "spend", ["day"], unique=False)
    op.create_table(
        "holds",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.CheckConstraint("usd >= 0", name=op.f("ck_holds_usd")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_table(
        "targets",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("organization", TEXT, nullable=True),
        sa.Column("project", TEXT, nullable=True),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("contract", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("surface", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("blocker", TEXT, nullable=True),
        sa.Column("last_probe_at", UTCDateTime(), nullable=True),
        sa.Column("last_diagnosis", TEXT, nullable=True),
        sa.Column("next_probe_at", UTCDateTime(), nullable=True),
        sa.Column("held_by", TEXT, nullable=True),
        sa.Column("memory", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        one_of("targets", "blocker", CODES),
        one_of("targets", "contract", CONTRACTS),
        one_of("targets", "held_by", HOLDS),
        one_of("targets", "last_diagnosis", CODES),
        one_of("targets", "state", STATES),
        one_of("targets", "surface", SURFACES),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_targets")),
        sa.UniqueConstraint("name", name=op.f("uq_targets_name")),
    )
    op.create_table(
        "events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("target_id", NUMBER, nullable=True),
        sa.Column("target", TEXT, nullable=True),
        sa.Column("scope", TEXT, nullable=True),
        sa.Column("route", TEXT, nullable=True),
        sa.Column("before", TEXT, nullable=True),
        sa.Column("after", TEXT, nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("diagnosis", TEXT, nullable=True),
        sa.Column("request_id", TEXT, nullable=True),
        sa.Column("facts", TEXT, nullable=False),
        one_of("events", "after", STATES),
        one_of("events", "before", STATES),
        one_of("events", "diagnosis", CODES),
        one_of("events", "kind", EVENTS),
        one_of("events", "reason", REASONS),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_events_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_index(op.f("ix_events_target_at"), "events", ["target", "at"], unique=False)
    op.create_table(
        "openings",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("target_id", NUMBER, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("contract", TEXT, nullable=False),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("organization", TEXT, nullable=True),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("surface", TEXT, nullable=False),
        sa.Column("began", TEXT, nullable=False),
        sa.Column("declared_at", UTCDateTime(), nullable=True),
        sa.Column("started_at", UTCDateTime(), nullable=True),
        sa.Column("first_light_at", UTCDateTime(), nullable=False),
        sa.Column("settled_at", UTCDateTime(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=False),
        sa.Column("flickers", sa.Integer(), nullable=False),
        one_of("openings", "began", BEGAN),
        one_of("openings", "contract", CONTRACTS),
        one_of("openings", "surface", SURFACES),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_openings_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
    )
    op.create_table(
        "runs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("target_id", NUMBER, nullable=False),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("diagnosis", TEXT, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("gate", TEXT, nullable=True),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("request_ids", TEXT, nullable=False),
        sa.Column("headers", TEXT, nullable=False),
        sa.Column("latency_sum_ms", sa.Float(), nullable=False),
        sa.Column("latency_min_ms", sa.Float(), nullable=False),
        sa.Column("latency_max_ms", sa.Float(), nullable=False),
        sa.Column("latencies", TEXT, nullable=False),
        sa.Column("reused", sa.Integer(), nullable=False),
        sa.Column("fresh", sa.Integer(), nullable=False),
        sa.Column("connect_ms", sa.Float(), nullable=True),
        sa.Column("tls_ms", sa.Float(), nullable=True),
        sa.Column("first_byte_ms", sa.Float(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=False),
        one_of("runs", "diagnosis", CODES),
        one_of("runs", "gate", GATES),
        one_of("runs", "kind", PROBE_KINDS),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_runs_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_target_id_kind"), "runs", ["target_id", "kind"], unique=False)
    op.create_table(
        "notifications",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("event_id", NUMBER, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("next_attempt_at", UTCDateTime(), nullable=True),
        sa.Column("lease_until", UTCDateTime(), nullable=True),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("dead_at", UTCDateTime(), nullable=True),
        sa.Column("last_error", TEXT, nullable=True),
        sa.CheckConstraint("channel <> ''", name=op.f("ck_notifications_channel")),
        one_of("notifications", "state", DELIVERY),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_notifications_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("event_id", "channel", name=op.f("uq_notifications_event_id_channel")),
    )
    op.create_index(
        op.f("ix_notifications_state_channel_event_id"),
        "notifications",
        ["state", "channel", "event_id"],
        unique=False,
    )
