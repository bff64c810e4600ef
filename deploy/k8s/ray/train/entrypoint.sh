# A victim from two folders of images; the training goes on from its checkpoint, and the bundle goes to the storage.
set -eu
latentprint train "$RECIPE" --images /data/trained-on --held-out /data/not-trained-on --epochs "$EPOCHS" --device "$DEVICE" \
  --workers "$WORKERS" --out "/victims/$VICTIM" --resume
python -c 'import sys; from pyarrow import fs; fs.copy_files(*sys.argv[1:])' "/victims/$VICTIM" "$VICTIMS/$VICTIM"
