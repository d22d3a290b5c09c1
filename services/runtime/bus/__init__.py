"""How a service talks to Kafka: consumers, transactional producers, compacted topics, the schema registry."""
