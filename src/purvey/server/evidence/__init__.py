"""What a seller shows the bank when a buyer disputes a payment: what was sold, delivered, mailed and opened, and when.

Offers: `actions.gather`, read from the rooms that know.
"""
