"""The routes of the console."""
