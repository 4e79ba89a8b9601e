"""The exchange of a fleet: what an update and a round are, how they are merged, trusted, and stored; runs
everywhere."""
