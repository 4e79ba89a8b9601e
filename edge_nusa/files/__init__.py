"""Files that survive: durable writing, records with hashes, tensors, lines."""
