"""Data sets: files as their owners publish them in, typed samples out. One folder or file a data set."""
