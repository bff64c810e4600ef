"""Names of the controls that stand beside an attack: by them scores, judgements and reports know each other."""

UNTRAINED, PLACEBO, EXCHANGED, LABELS = "untrained encoder", "placebo encoder", "exchanged non-members", "labels alone"
ORIGINAL = "victim itself"  # the one positive control: of audits of ownership, where the audited encoder is a suspect
BLIND = "blind baseline"
MAJORITY, PIXELS = "majority value", "raw pixels"
CONTROLS = {
    UNTRAINED: "the same attack on the same samples against an untrained encoder of the same architecture",
    PLACEBO: "the same attack on the same samples against a trained encoder that saw neither members nor non-members",
    ORIGINAL: "the same attack on the same samples against the victim that the suspect may be stolen from: it was "
    "trained on the private images, so that a test which does not flag it can tell nothing",
    EXCHANGED: "the same attack on this endpoint, with half of the non-members in the members' place",
    MAJORITY: "the value that most of the known samples have, guessed of every sample",
    PIXELS: "the same inference from the image itself, without asking the endpoint",
    LABELS: "the same samples told apart by their class labels alone, without asking the endpoint",
}
