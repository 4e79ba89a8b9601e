"""edge-nusa: null-space continual learning of CLIP on a small board; this room runs everywhere."""

__version__ = "0.1.0"
