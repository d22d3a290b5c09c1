"""Mailriver: every event that Mailgun reports, through Kafka into Postgres."""
