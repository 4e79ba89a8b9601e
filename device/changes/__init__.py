"""Changes that teach nothing: undo, redo and rename, and what each of them changes, in words."""
