"""Turning a paid order into goods. What spans rooms happens here: `actions.Fulfillment` has one method per transition.

Offers: `Fulfillment.paid` (the inbox and the checkout's return call it; static content is delivered in the same transaction) and
`Fulfillment.deliver` (the seller's program brings what it made).
"""
