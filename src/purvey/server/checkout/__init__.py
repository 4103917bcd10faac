"""From product page to payment: a checkout is a buyer's attempt to pay, and keeps what was on sale at that moment.

Offers: `actions` (start one, look at one, load those that were paid), `model.Checkout`, and the SQL function `checkouts_pay`.
"""
