"""Stripe as a provider: Checkout Sessions of the seller's own Stripe account, and the notices that tell of them.

Whose money it is, is a `Merchant`: the installation's own key, an account's own key, or a connected account that the installation's
key acts for. Which session is whose is in our books (`store`), so that no merchant's notice can pay for another one's goods.
"""
