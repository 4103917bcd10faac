"""What was bought and how far it has got.

Offers: `model` (the order, its statuses and their transition table), `rules` (what an order becomes), `wire` (the order as the
API and the events show it), `actions` (read and list). Orders are written by `fulfillment`, through the SQL functions
`orders_make`, `orders_change` and `order_history_add` of this room's migration.
"""
