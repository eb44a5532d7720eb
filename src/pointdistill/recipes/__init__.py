"""Named experiments: functions that return frozen dataclasses; a variant is a `dataclasses.replace`."""
