"""The subcommands that the attack engine adds to `latentprint`."""
