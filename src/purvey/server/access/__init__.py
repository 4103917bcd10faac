"""A buyer's way to the content, and the only place that lets any of it out.

Offers: `actions.look`, which lets texts be read while the grant lives, and counts nothing; `actions.doors`, what the links of many
orders show; the route of download links, the one door for what is counted (`actions.open_lease`), and behind it the one place that
sends bytes (`sending`); `model.NewGrant` and the SQL function `grants_make`.
"""
