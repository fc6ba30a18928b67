"""What a record keeps of the call that made it, taken on the calling thread."""
