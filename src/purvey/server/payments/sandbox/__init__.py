"""The sandbox: a payment provider that takes test cards and no money.

It behaves like a real one. A payment is an entry in its own books; its notice is signed, sent until it was taken, and may come
late, twice, or after the buyer has returned.
"""
