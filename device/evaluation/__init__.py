"""`edge-nusa eval`: continual-learning protocols, baselines, metrics and their report, on the learner that the board runs."""
