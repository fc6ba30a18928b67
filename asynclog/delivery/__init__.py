"""One lane for each sink: pure decisions, and the loop that carries them out."""
