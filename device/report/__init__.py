"""The HTML page of what was learned and kept."""
