"""What Prometheus may ask: what the ingest has done, how it is, and the latest figures of live runs."""
