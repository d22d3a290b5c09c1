"""The rules of storage, apart from the database: values in, values out."""
