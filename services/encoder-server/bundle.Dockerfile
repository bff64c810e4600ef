# One victim's bundle, from which each pod of the encoder server takes its copy. `make bundle-image BUNDLE=FOLDER` builds it,
# with the bundle's folder as the context.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE}
COPY --chmod=0755 . /bundle
USER 10001:10001
CMD ["ls", "-l", "/bundle"]
