# An experiment from its file to its report; one that was stopped goes on.
set -eu
exec latentprint run "$EXPERIMENT" --seed "$SEED" ${SCALE:+--scale "$SCALE"} --root /tmp/runs
