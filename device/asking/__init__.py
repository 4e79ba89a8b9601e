"""Asking: pictures through the trunk, who answers, and the predictions."""
