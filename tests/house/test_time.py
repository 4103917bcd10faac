"""Time is an argument: one file asks the machine for it, and SQL that decides something is told."""

import ast
import re

from house.sources import SERVER, modules, shown, tracked_text, tree

ASKS = {"now", "utcnow", "today"}
CLOCK = "src/purvey/server/kit/clock.py"

SQL_CLOCKS = re.compile(
    r"\b(now\(\)|current_timestamp|clock_timestamp\(\)|statement_timestamp\(\)|transaction_timestamp\(\))",
    re.IGNORECASE,
)
READS_THE_DATABASE_S_CLOCK = {
    "src/purvey/server/serving.py": "measures how far the machine's clock is off",
    "src/purvey/server/cli/frame.py": "the same, for commands",
    "src/purvey/server/doctor/store.py": "tells how far the two clocks are apart, and how long something has waited",
    "src/purvey/server/kit/migrations.py": "notes when a migration was run; nothing is decided by it",
    "src/purvey/server/migrations/0008_mail.sql": "makes a lane that may work from then on; a migration is given no clock",
    "src/purvey/server/migrations/0009_checkout.sql": "makes a lane that may work from then on; a migration is given no clock",
    "src/purvey/server/migrations/0010_payments.sql": "the same",
    "src/purvey/server/migrations/0021_files.sql": "the same",
    "src/purvey/server/migrations/0022_stock_holds.sql": "the same",
    "src/purvey/server/migrations/0027_webhooks_again.sql": "the same",
    "src/purvey/server/migrations/0024_library.sql": "the same",
    "src/purvey/server/migrations/0032_checkout_promise.sql": "the same",
}


def test_only_the_clock_asks_the_machine_what_time_it_is() -> None:
    found = [
        f"{shown(path, node)} {ast.unparse(node)}"
        for path in modules(SERVER)
        if shown(path) != CLOCK
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ASKS
        and ast.unparse(node.value) in {"datetime", "date", "datetime.datetime"}
    ]
    assert found == []


def test_no_statement_that_decides_anything_asks_the_database_what_time_it_is() -> None:
    found = [
        f"{shown(path)}: {match[0]}"
        for path, text in tracked_text()
        if path.is_relative_to(SERVER)
        and path.suffix in {".py", ".sql"}
        and shown(path) not in READS_THE_DATABASE_S_CLOCK
        for match in SQL_CLOCKS.finditer(text)
        if not text[: match.start()].endswith(".")
    ]
    assert found == []


def test_the_exceptions_are_still_needed() -> None:
    for name in READS_THE_DATABASE_S_CLOCK:
        assert SQL_CLOCKS.search((SERVER.parents[2] / name).read_text(encoding="utf-8")), name
