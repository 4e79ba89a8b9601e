"""The board: what it is, what fits on it, what it does in a second, and what is wrong with it."""
