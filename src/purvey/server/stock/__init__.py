"""What is left of a listing: its stock, and its pool of licence keys.

A checkout holds one of both for half an hour, and gives them back when it is not paid. For that there are the SQL functions
`stock_hold`, which a checkout is stored with, and `stock_sell`, which its payment calls; `keys_lost` and `keys_sell` make a held
key the content of its order. `actions.take` finds a key for what was paid after its time; `actions.upload` adds keys.
"""
