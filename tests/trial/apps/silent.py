"""An app without log handlers."""

from flask import Flask

app = Flask("silent")


@app.get("/")
def index():
    return "hello"
