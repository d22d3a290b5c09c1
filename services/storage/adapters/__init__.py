"""What storage does to Postgres: migrations and batches."""
