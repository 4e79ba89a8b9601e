"""The model on disk and in memory: bundle, manifest, sessions, tokenizer, null spaces, towers."""
