"""The pure core: scripts, sessions, conditions and the log, without I/O, clock or global randomness."""
