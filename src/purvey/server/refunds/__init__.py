"""Money that goes back: asked for by the seller, made in the provider's dashboard, or because a checkout was paid twice.

A refund is written down before the provider is asked, by an id that the provider knows it by. So whoever dies in between, another
asks again, and nothing is given back twice. What the provider answers, and what its notice says, end in one idempotent change of
the order. Offers: `actions.Refunds`, and `work.CarryOut`, which finishes what was begun.
"""
