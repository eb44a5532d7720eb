"""Malformed files by the thousand: each is read as what it says, or refused by the package's own error."""
