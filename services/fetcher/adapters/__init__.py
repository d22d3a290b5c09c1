"""The fetcher's edges: Mailgun over HTTP, the state topic."""
