"""The decisions of the console, as pure functions: what is shown, which orders are right, how lists are cut."""
