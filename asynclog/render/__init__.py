"""Records to text, bytes and mails."""
