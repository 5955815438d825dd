"""Files: a model written whole or not at all, and read back without running anything from it."""
