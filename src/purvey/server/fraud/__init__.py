"""Early warnings of fraud: what a card's network says days before the dispute that follows.

Offers: `actions.Fraud`, which holds the order, gives the money back, or does nothing, as the settings say.
"""
