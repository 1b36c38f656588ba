"""What the simulated host tells, one module for each area; each has a `serve` that registers its classes."""
