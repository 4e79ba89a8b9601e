"""A fleet over Flower: its messages carry the objects of the fleet's store, and everything else stays as it is."""
