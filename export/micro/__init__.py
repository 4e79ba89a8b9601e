"""How the embedded model `micro` is made: word list, text targets, two towers, joint passes, package files."""
