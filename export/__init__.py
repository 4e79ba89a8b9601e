"""The workstation's room: turns an open_clip model into a bundle. Imports edge_nusa, never edge_nusa.device."""
