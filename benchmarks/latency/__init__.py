"""The pieces of `benchmarks.request_latency`: apps, servers, load, accounts and pictures."""
