"""Where entries and projections are kept: SQLAlchemy Core tables, migrations, one writer."""
