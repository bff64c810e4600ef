"""What the report shows of audits of ownership."""
