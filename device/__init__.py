"""The board's room: learn, predict, undo, report. Imports edge_nusa, never edge_nusa.export."""
