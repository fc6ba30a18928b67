"""Sinks: each tries to deliver a batch and says what came of it, part by part."""
