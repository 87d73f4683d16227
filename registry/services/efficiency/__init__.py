"""The efficiency register: measures with their proof, labels by edition, and the public league tables."""
