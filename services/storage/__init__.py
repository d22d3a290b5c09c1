"""The storage service: applies typed events to Postgres, a batch a transaction."""
