"""Polls Mailgun on its loops and publishes each event as it came, with the cursor, in one Kafka transaction."""
