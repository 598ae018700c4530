"""Starts a scheduler of dask whose workers are jobs of SLURM, and prints its address.

``python docs/lab/cluster.py 20`` lets it have at most 20 workers, as many as there is work for; it
runs until it is interrupted. Give the address to ``pipeline build ... --scheduler ADDRESS``. For
workers with a GPU each, for ``pipeline embed``, add the word ``gpu``.
"""

from __future__ import annotations

import sys
import time

from dask_jobqueue import SLURMCluster

LIFETIME = ["--lifetime", "55m", "--lifetime-stagger", "4m"]
"""A worker ends before its job does, between two units."""
GPU = ["--resources", "GPU=1"]


def main() -> None:
    """Start the scheduler and keep it."""
    most, gpu = int(sys.argv[1]), "gpu" in sys.argv[2:]
    with SLURMCluster(
        cores=1,  # one thread: a worker that is killed costs one unit
        processes=1,
        memory="16GB" if gpu else "4GB",
        walltime="01:00:00",
        worker_extra_args=LIFETIME + (GPU if gpu else []),
        job_extra_directives=["--gres=gpu:1"] if gpu else [],
    ) as cluster:
        cluster.adapt(minimum=0, maximum=most)
        sys.stdout.write(f"{cluster.scheduler_address}\n")
        sys.stdout.flush()
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
