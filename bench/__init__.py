"""Measurements: one command a figure. Each prints what it measured, and its ratio to a limit measured in the same run."""
