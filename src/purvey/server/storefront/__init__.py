"""What buyers see: the product page, the sandbox's payment page, the waiting and access pages, and the built-in mailbox.

A page is a function from a plain view to HTML: `pages` holds the functions, `views` what they are given. Every page works
without JavaScript; what is in `assets` only makes waiting quieter and copying easier.
"""
