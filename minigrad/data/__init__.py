"""Data: arrays, rows, targets and batches."""
