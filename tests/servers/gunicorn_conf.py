"""Read with ``-c python:…``: gunicorn ignores a name here that its version does not know yet."""

# Several servers of one user would share it, and it would be left behind in the home directory.
control_socket_disable = True
graceful_timeout = 60
