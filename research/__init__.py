"""The researchers' room: learners compared, rivals measured, the embedded models trained. Only `edge-nusa eval`
imports it."""
