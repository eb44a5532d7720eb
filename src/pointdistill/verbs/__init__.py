"""The verbs of the command line: arguments checked, the work done elsewhere. Heavy imports wait until one runs."""
