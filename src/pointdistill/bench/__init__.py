"""Measurements of the parts that have to keep up: each a function that returns figures, and a small main."""
