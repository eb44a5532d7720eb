"""The downstream tasks as the field trains and tests them; the quickstart's small ones are in `quickstart_tasks`."""
