# An audit of the encoder server; one that was stopped goes on, and asks nothing twice.
set -eu
exec latentprint audit "$ENDPOINT" --api-key-file /etc/latentprint/client-key/key \
  --members /data/members --non-members /data/non-members --budget "$BUDGET" --workers "$WORKERS" --root /tmp/runs
