"""Settings: the files that commands and services share, who may have written them, and what their keys mean."""
