"""How well an encoder brings images and their prompts together, and which words it reads."""
