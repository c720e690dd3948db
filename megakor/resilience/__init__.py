"""What keeps a run safe: stop requests, hung and slow ranks, numbers that go wrong. Knows nothing of training."""
