"""The embedded model `lite`."""
