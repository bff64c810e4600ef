"""Names of what an encoder answers, for whoever asks for it without holding one."""

EMBEDDING = "embedding"
FEATURE_MAP = "feature_map"
POSTERIOR = "posterior"
OUTPUTS = (EMBEDDING, FEATURE_MAP, POSTERIOR)
