"""Names that latentprint's server publishes and its client reads."""

IMAGES = "images"  # the one input tensor: uint8 [B, H, W, 3], RGB
VECTORS = "vectors"  # in its place for a model of vectors: float32 [B, F]
DATATYPE = "datatype"  # parameter of a requested output: "FP32" (default) or "FP16"

AUTHORIZATION = "authorization"  # call metadata: "Bearer KEY"
CLIENT = "latentprint-client"  # call metadata: whose request ids these are, where no key tells clients apart
STATUS_DETAILS = "grpc-status-details-bin"  # trailing metadata: google.rpc.Status
DOMAIN = "latentprint"  # of google.rpc.ErrorInfo

# Properties of ModelMetadata.
ARCHITECTURE = "architecture"
FEATURES = "features"  # length of the vectors; published in place of the three sides
IMAGE_SIZE = "image_size"
MAX_IMAGES = "max_images_per_request"
MAX_MESSAGE_BYTES = "max_message_bytes"
MAX_SIDE = "max_side"
MEAN = "mean"  # of red, green and blue, scaled to [0, 1]; published of images alone
MIN_SIDE = "min_side"
MODEL_ARGS = "model_args"  # JSON object: keyword arguments of the architecture, for an untrained twin
OBFUSCATION = "obfuscation"  # steps as `latentprint serve --obfuscate` takes them, comma-separated; only where any
OUTPUTS = "outputs"
PRECISION = "precision"
PREFERRED_IMAGES = "preferred_images_per_request"
SERVING_DIGEST = "serving_digest"  # of all that answers depend on; the weights are one part of that
STD = "std"  # as the mean
WEIGHTS_DIGEST = "weights_digest"
