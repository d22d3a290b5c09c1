"""The rules of the processor, apart from Kafka and the database: values in, values out."""
