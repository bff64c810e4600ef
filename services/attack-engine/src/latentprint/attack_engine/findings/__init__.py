"""What all audits of a report found, judged together, as one document."""
