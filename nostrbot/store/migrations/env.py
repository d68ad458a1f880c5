"""Alembic's environment: migrations run on the connection that store/schema.py hands over, inside its transaction."""

from alembic import context

from nostrbot.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
