"""Alembic's environment. `app.adapters.db.migrate` opens the connection and the transaction; this only runs scripts."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run through `elicense migrate`, which knows the database and its guarantees")

# No own transaction: the caller's covers the scripts it asks for, so that a crash leaves none half done.
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
