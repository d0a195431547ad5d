"""Runs model-written Python where it can do no harm, and judges it from outside.

Three processes for one program, below a pool of workers that Ratchet's own process talks to:

    run.py (Ratchet) ── worker.py ─┬─ child.py     the candidate, on a rung of the ladder in rungs.py
                                   └─ referee.py   the reference's tests; `candidate` is a proxy

The candidate gets its prompt, its own text and the arguments of one call at a time. Every comparison
happens in the referee, on values that it rebuilt itself from the child's bytes. What the child prints, and
its exit code, mean nothing.

Covered: files, network, processes, signals, memory, disk, time, descriptors and the environment of the
host; forged answers; comparison fooling. Not covered: faults of the kernel; side channels between programs
on one machine (time, caches); a candidate that knows the expected values by heart.

Linux on x86_64 and aarch64, without Docker, without a privilege. Elsewhere every verdict is `unscorable`.
"""
