"""A device's part in a fleet: membership, pushing, pulling, and the judge of a round."""
