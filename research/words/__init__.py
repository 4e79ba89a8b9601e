"""What the trainings of the embedded models share: WordNet, a sentence encoder, byte pairs."""
