"""`python -m pointdistill`, the same as the `pointdistill` command."""

from pointdistill.cli import main

if __name__ == "__main__":
    main()
