"""The demo: a real app, a load and a mail server that misbehaves, all on this machine."""
