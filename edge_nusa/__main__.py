"""`python -m edge_nusa` is the command line, also where no script called edge-nusa is on the path."""

from edge_nusa.cli.main import run

if __name__ == "__main__":
    run()
