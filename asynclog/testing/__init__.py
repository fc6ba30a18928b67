"""What our own tests use, for the tests of apps and sinks too."""
