"""How the model `micro`, the fixture of the tests, is made: word list, text targets, two towers, passes, files."""
