"""What is wrong with labelled data, as lines of its own kind."""

from pointdistill.errors import DataError


class Problem(str):
    """A line on something that labelled data must have mended before they can be used."""

    @classmethod
    def of(cls, error: DataError) -> "Problem":
        return cls(f"  problem: {error}")
