"""Exercises: layers that are broken or half written, and a grader that says what is wrong."""
