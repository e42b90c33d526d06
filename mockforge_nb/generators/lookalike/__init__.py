"""Messages like others: a table's rows, or what was said on connections."""
