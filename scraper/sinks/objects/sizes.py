"""How large bodies may be in memory, and which are uploaded in parts.

Owns: these limits. Does not know: the spool that keeps to them (`sinks/spool.py`).
"""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits in bytes.

    `memory`: of one body in memory. `memory_of_all`: of all bodies in memory. `part_threshold`:
    bodies of this size and above are uploaded in parts. `part`: one part.

    A larger `memory` saves a tenth of the CPU and costs glibc's heap twice its size. S3 allows
    parts from 5 MiB on, and 10,000 of them; s3transfer makes larger ones where needed.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """

    memory: int = 8 * MIB
    memory_of_all: int = 64 * MIB
    part_threshold: int = 64 * MIB
    part: int = 16 * MIB


USUAL = Sizes()
