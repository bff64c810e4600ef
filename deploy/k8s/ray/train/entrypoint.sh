# A victim from two folders of images; the training goes on from its checkpoint, and the bundle goes to the storage.
set -eu
latentprint train "$RECIPE" --images /data/trained-on --held-out /data/not-trained-on --epochs "$EPOCHS" --device "$DEVICE" \
  --workers "$WORKERS" --out "/victims/$VICTIM" --resume
python -c 'import sys; from pyarrow import fs; (a, b), (c, d) = map(fs.FileSystem.from_uri, sys.argv[1:]); c.create_dir(d); fs.copy_files(b, d, a, c)' \
  "/victims/$VICTIM" "$VICTIMS/$VICTIM"
