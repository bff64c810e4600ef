"""The report's part on membership."""
