"""All that talks: the loop's thread, the listener and its connections, the client. Nothing else does I/O."""
