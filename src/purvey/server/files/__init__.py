"""Files that sellers upload and buyers download: a row for each, and its bytes in a storage that nobody is served from.

Offers: `actions.present`, which has what a seller attaches be there; `actions.load` to read; `storage.Storage` for the bytes, which
`access` alone hands out; the SQL function `files_attach`, called by `deliverables_make`.
"""
