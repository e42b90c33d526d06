"""Scripts that nobody writes by hand: from tables, from Faker, from a language model."""
