"""Ship log records to mail and files without the request ever waiting."""
