"""Trials: a real app (the demo's, or the reader's own), a load and a mail server that misbehaves, on this machine."""
