"""A buyer's way to the content, and the only place that lets any of it out.

Offers: `actions.look`, which lets texts be read while the grant lives, and counts nothing; `actions.doors`, what the links of many
orders show; `actions.open_link`, the one door for what is counted, where signature, time and count are checked; `model.NewGrant`
and the SQL function `grants_make`.
"""
