"""How Alembic runs our migrations: on the connection that store/schema.py hands it, inside that connection's transaction."""

from alembic import context

from nostrbot.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
