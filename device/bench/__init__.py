"""What edge-nusa costs on this machine: the user's short form, and (as modules) the benches against what one would pick instead."""
