"""The ratios that the project holds itself to, each measured against its plain alternative in one run."""
