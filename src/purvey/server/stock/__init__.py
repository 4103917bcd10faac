"""What is left of a listing. A checkout holds one of its stock for half an hour, and gives it back when it is not paid.

Offers SQL functions: `stock_hold`, which a checkout is stored with, and `stock_sell`, which its payment calls; `work.GiveBack`.
"""
