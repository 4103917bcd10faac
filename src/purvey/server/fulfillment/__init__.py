"""Turning a paid order into goods. What spans rooms is written here, in one transaction.

Offers: `Fulfillment.paid` (the inbox and the checkout's return call it; static content is delivered in the same transaction),
`Fulfillment.deliver` (the seller's program brings what it made), and `Fulfillment.change` with `model.Change`, by which every other
change of an order is made: what it becomes is a pure function of the order as it is, and is decided anew when others were faster.
"""
