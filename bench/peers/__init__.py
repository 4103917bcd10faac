"""What others would pick for the same work, measured in the same way: `make bench-peers`."""
