"""Runs side by side on one page: what lies in the folders that a user names, grouped by all but the seed."""

from pointdistill.compare.found import Found, find_runs, is_quickstart
from pointdistill.compare.page import blocks_of, comparison_page, write_comparison

__all__ = ["Found", "blocks_of", "comparison_page", "find_runs", "is_quickstart", "write_comparison"]
