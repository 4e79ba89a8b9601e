"""Measures the product beside peft, open_clip and rclip's way."""
