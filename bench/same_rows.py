"""The limit of orders: what pgbench reaches when it writes the rows of an order, and nothing else, in one prepared statement.

The statement is made from an order that the application has made, column by column, so that it follows the schema.
"""

from bench import ground
from purvey.server.kit.database import Database

SECONDS = 6
MOST = 60_000
"""Checkouts that are there to be paid: more than the limit uses up in the time."""

PATTERNS = {
    "orders": "id = $1",
    "order_history": "order_id = $1 ORDER BY version",
    "notices": "id = (SELECT 'notice_' || payment_reference FROM orders WHERE id = $1)",
    "grants": "order_id = $1",
    "messages": "order_id = $1",
    "jobs": "ref = (SELECT id FROM messages WHERE order_id = $1)",
    "lane_wakes": "$1 <> '' LIMIT 1",
    "events": "order_id = $1 ORDER BY sequence",
}
"""Table -> where an order's rows are; the events come last, as they do in the application."""

ACCOUNT = "'acc_limit_' || :account"
OTHERS = {
    "account_id": ACCOUNT,
    "order_id": "'ord_limit_' || n",
    "checkout_id": "'chk_limit_' || n",
    "payment_reference": "'pay_limit_' || n",
    "access_hash": "sha256(n::bytea)",
    "sequence": "last_sequence - 2 + {row}",
    "ref": "'msg_limit_' || n",
    "orders.id": "'ord_limit_' || n",
    "notices.id": "'notice_limit_' || n",
    "grants.id": "'grt_limit_' || n",
    "messages.id": "'msg_limit_' || n",
    "jobs.id": "'job_limit_' || n",
    "events.id": "'evt_limit_' || n || '_{row}'",
}
"""Column -> what it is in another order; every other column is as the pattern has it."""

COLUMNS = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""

CHECKOUTS = """
INSERT INTO checkouts SELECT (jsonb_populate_record(c, jsonb_build_object(
    'id', 'chk_limit_' || n, 'status', 'open', 'order_id', NULL, 'paid_at', NULL))).*
FROM checkouts c, generate_series(1, $1::int) n WHERE c.id = (SELECT checkout_id FROM orders LIMIT 1)
"""

STATEMENT = """
WITH n AS MATERIALIZED (SELECT nextval('limit_numbers')::text AS n), {inserts},
paid AS (UPDATE checkouts SET status = 'paid', order_id = 'ord_limit_' || n, paid_at = '2026-01-01Z'
         FROM n WHERE id = 'chk_limit_' || n),
stream AS (UPDATE event_streams SET last_sequence = last_sequence + 2 WHERE account_id = {account} RETURNING last_sequence)
{events};
"""


async def limit(url: str, database: Database, accounts: int, clients: int) -> float:
    """Return orders a second. The database must hold an order, whose rows are taken for a pattern."""
    await database.write("CREATE SEQUENCE limit_numbers")
    await database.write(CHECKOUTS, MOST)
    await database.write(
        "INSERT INTO event_streams SELECT 'acc_limit_' || n, 0 FROM generate_series(1, $1) n", accounts
    )
    await database.write("VACUUM ANALYZE")
    order_id = await database.value("SELECT id FROM orders LIMIT 1")
    inserts = {table: await _insert(database, table, order_id) for table in PATTERNS}
    events = inserts.pop("events")
    added = ", ".join(f"{table}_added AS ({insert})" for table, insert in inserts.items())
    statement = STATEMENT.format(inserts=added, account=ACCOUNT, events=events).replace("\n", " ")
    return await ground.pgbench(url, [f"\\set account random(1, {accounts})", statement], clients, SECONDS)


async def _insert(database: Database, table: str, order_id: str) -> str:
    """Return the statement that inserts what another order has in `table`."""
    columns = [(row["name"], row["type"]) for row in await database.rows(COLUMNS, table)]
    literals = ", ".join(f"quote_nullable({name}::text) AS {name}" for name, _ in columns)
    rows = await database.rows(f"SELECT {literals} FROM {table} WHERE {PATTERNS[table]}", order_id)
    if not rows:
        raise RuntimeError(f"the order has no row in {table}")
    source = "n, stream" if table == "events" else "n"
    selects = [
        f"SELECT {', '.join(_value(table, name, kind, row[name], place) for name, kind in columns)} FROM {source}"
        for place, row in enumerate(rows, 1)
    ]
    return f"INSERT INTO {table} ({', '.join(name for name, _ in columns)}) {' UNION ALL '.join(selects)}"


def _value(table: str, column: str, kind: str, literal: str, row: int) -> str:
    other = OTHERS.get(f"{table}.{column}") or OTHERS.get(column)
    return other.format(row=row) if other else f"{_hidden(literal)}::{kind}"


def _hidden(literal: str) -> str:
    """Return a literal without colons, which pgbench would take for its variables."""
    plain = literal if literal.startswith("E") or ":" not in literal else f"E{literal}"
    return plain.replace(":", "\\x3A")
