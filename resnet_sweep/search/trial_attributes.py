"""What a study keeps of a trial beside its parameters and values, by the names of its attributes.

Each is written at once, so that a kill leaves it whole.
"""

WORKER = "worker"  # index of the worker that has it
ACCEPTED = "accepted"  # what is trained: signature, seed, counts
REJECTED = "rejected"  # why it was turned away
PRUNED_AFTER = "pruned_after"  # the epoch at which the pruner decided against it
TRIAL_OUTCOME = "outcome"  # what became of its training
REPEAT_OF = "repeat_of"  # the trial whose configuration it repeats
SEED = "seed"  # of a repeat
PLANNED = "planned"  # its whole configuration, where nothing is drawn
EXTENDED_FROM = "extended_from"  # the sweep that it was taken over from
