"""The device's folder: generations, the pointer to the current one, and their reader."""
