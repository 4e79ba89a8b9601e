"""What was learned: labels, anchors, cores, the head's sums, and how they are mixed."""
