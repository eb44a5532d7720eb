"""One reader a file format; each raises DataError with the file and the place in it."""
