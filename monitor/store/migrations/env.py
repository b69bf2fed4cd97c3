"""Alembic's environment: works in the transaction that `monitor.store.database` has begun."""

from alembic import context

from monitor.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters a table by rebuilding it
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
