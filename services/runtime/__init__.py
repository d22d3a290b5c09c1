"""The chassis of every service: Kafka, settings, logs, metrics, health, shutdown. Knows nothing of mail."""
