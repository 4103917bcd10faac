"""Disputes: the buyer's bank takes a payment back, for a while or for good. Decided at the bank, and heard of by notices alone.

Offers: `actions.Disputes`, which acts on what a provider reports. Whether a buyer may open the content is no flag that this sets:
it is derived from the money of the order at each look (`access/rules.py:look`).
"""
