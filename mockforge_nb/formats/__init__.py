"""Recordings in other formats than the replay file."""
