"""The store: entries and projections in SQLAlchemy Core tables, migrations, one writer."""
