"""Events that a language model writes: what is asked for, who writes it, and the file that keeps it."""
