"""From masks to words: measure each target, word its attributes, fill the prompt designs."""
