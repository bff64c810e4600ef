"""The subcommands that belong to no single service: `list` and `doctor`."""
