"""Checks an installation: says what is wrong, what might be, and what to do about it. It changes nothing.

Offers: `examination.examine`, which makes the findings; `model.Finding`.
"""
