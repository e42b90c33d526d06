"""Messages of a schema: of Faker's providers, of Python's types, of a JSON Schema."""
