"""Sellers and their API keys.

For other rooms: `model.Account` and `model.Caller` (who is asking); `api.for_sellers`, which makes routes ask for a key and hands
their handlers `account: Given[Account]` and `caller: Given[Caller]`; `actions.create_account`, `create_key`, `list_keys`,
`revoke_key` and `authenticate`.
"""
