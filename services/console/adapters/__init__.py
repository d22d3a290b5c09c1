"""Kafka and Postgres, as the console needs them."""
