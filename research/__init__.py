"""The researchers' room: learners compared, rivals measured, the embedded model trained. Only `edge-nusa eval`
imports it."""
