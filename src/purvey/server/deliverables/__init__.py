"""What buyers receive: files, URLs, texts. A deliverable never changes; listings and orders name the ones that are theirs.

Offers: `rules.check` for what a seller sends, `actions.load` to read, `model`, and the SQL function `deliverables_make` to write.
"""
