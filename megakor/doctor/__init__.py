"""What is in the way of a run, on a machine or on a cluster: `megakor doctor`, and the preflight of every launch."""
