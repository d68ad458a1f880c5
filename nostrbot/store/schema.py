"""The schema's age: bringing a database to the tables this program knows.

What lives here: running migrations. What does not: the migrations (migrations/versions) and the tables (tables.py).
Each runs inside one transaction together with the record that it ran, so a database has the old schema or the new one
and never something between (faults.md row 56). Never downward: an older program refuses a newer database.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from nostrbot.errors import ConfigError


def migrate(connection: Connection) -> None:
    """Bring the database of an open transaction to the newest schema. Raises ConfigError when it is newer than us."""
    config = _config()
    config.attributes["connection"] = connection
    now = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if now is not None and now not in known:
        raise ConfigError("the database was made by a newer nostrbot: upgrade nostrbot")
    command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the newest schema."""
    now = MigrationContext.configure(connection).get_current_revision()
    return now is not None and now == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    # A % in the path would be taken for the beginning of a variable of alembic's.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
