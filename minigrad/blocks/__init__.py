"""Blocks of rows: large batches in constant memory, on several threads."""
