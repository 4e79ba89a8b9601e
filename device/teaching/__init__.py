"""The page on which a person teaches a board, and the same over HTTP for programs: `edge-nusa teach`."""
