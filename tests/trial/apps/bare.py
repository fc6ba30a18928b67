"""A WSGI and an ASGI app without any framework, whose handlers sit on the root logger."""

import logging
import logging.config

logging.config.dictConfig(
    {
        "version": 1,
        "handlers": {
            "mail": {
                "class": "logging.handlers.SMTPHandler",
                "level": "ERROR",
                "mailhost": "mail.example.com",
                "fromaddr": "bare@example.com",
                "toaddrs": ["ops@example.com"],
                "subject": "Bare failed",
            }
        },
        "root": {"level": "INFO", "handlers": ["mail"]},
    }
)


def wsgi(environ, start_response):
    start_response("302 Found", [("Location", "/"), ("Content-Length", "0")])
    return [b""]


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def either(*anything):
    return wsgi(*anything)
