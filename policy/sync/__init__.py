"""Where this host pushes: rsync under a meter, which stops at the day's bytes.

``meter`` counts what crosses and passes nothing that was not lent; ``line`` lends, and records it first; ``command``
is how rsync is called, ``run`` calls it; ``going_on`` sets the slices of a day without a pass; ``sync`` is one push of
all export trees, from the seal to the report.
"""
