"""The demonstration and the pictures that it shows."""
