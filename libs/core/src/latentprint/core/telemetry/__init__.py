"""What a service tells of itself while it runs: metrics for Prometheus and over OTLP, and logs."""
