"""The log: every fact, once, in order, for as long as it is kept.

Offers: `model.NewEvent` and the SQL function `events_append`, which other rooms call last in their own transaction, and
`actions` to read the log with a cursor. Whoever acts on new events has a trigger on the table; this room knows none of them.
"""
