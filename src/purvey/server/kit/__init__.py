"""Domain-free tools. Imports nothing else of this package."""
