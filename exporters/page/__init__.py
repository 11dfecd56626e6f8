"""The status page: plain data in, HTML out; and the process of its own in which that is done."""
