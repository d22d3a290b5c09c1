"""What the processor asks of Postgres."""
