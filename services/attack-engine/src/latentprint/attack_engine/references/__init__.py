"""Reference models: models like the victim, trained on other samples; only what they say of the samples is kept."""
