"""A buyer's way to the content, and the only place that lets any of it out.

Offers: `rules.look`, which says what an order's link shows now; `actions.open_link`, the one door through which a deliverable
leaves, where signature, time and count are checked; `model.NewGrant` and the SQL function `grants_make`.
"""
