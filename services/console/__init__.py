"""The console: the page and the API that show and steer the river. It holds no state of its own."""
