"""The hub: devices enrolled, their updates judged and merged into rounds."""
