"""What is for sale: a listing's facts, its checkout schema, its deliverables, and whether it can be bought.

For other rooms: `actions.for_sale` (what a checkout needs, of a published listing), `actions.on_page` (what the product page
shows), `rules.check_answers` (a buyer's answers against the checkout schema), and the types of `model`.
"""
