"""The schema's age: bringing a database to the tables this program knows.

What lives here: running migrations. What does not: the migrations (migrations/versions) and the tables (tables.py).
Each runs inside one transaction together with the record that it ran, so a database has the old schema or the new one
and never something between (faults.md row 56). Never downward: an older program refuses a newer database.
Alembic takes an eighth of a second to import: it is asked only where there is something to migrate.
"""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from nostrbot.errors import ConfigError
from nostrbot.store.filling import fill_sums

WITHOUT_SUMS = ("0001", "0002")  # homes of before have no sums yet, and what they are made of

MIGRATIONS = Path(__file__).parent / "migrations"

_VERSION = table("alembic_version", column("version_num"))  # alembic's own


def migrate(connection: Connection) -> None:
    """Bring the database of an open transaction to the newest schema. Raises ConfigError if it is newer than us."""
    if is_current(connection):
        return
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    # A % in the path would be taken for the beginning of a variable of alembic's.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    now = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if now is not None and now not in known:
        raise ConfigError("the database was made by a newer nostrbot: upgrade nostrbot")
    command.upgrade(config, "head")
    if now in WITHOUT_SUMS:
        fill_sums(connection)


def is_current(connection: Connection) -> bool:
    """Whether the database has the newest schema."""
    if not inspect(connection).has_table(_VERSION.name):
        return False
    return connection.scalars(select(_VERSION.c.version_num)).all() == [newest_revision()]


def newest_revision() -> str:
    """Return the revision that all migrations lead to: the highest number in front of a file."""
    return max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py"))
