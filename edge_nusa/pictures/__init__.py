"""Pictures: finding them, saying what they are by their content, and decoding each one safely."""
