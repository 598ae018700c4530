"""Embed: from sealed images and class prompts to embeddings of frozen encoders."""
