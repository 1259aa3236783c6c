"""Slurm, through submitit (extra `slurm`)."""
