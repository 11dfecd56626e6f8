"""A record of what the program does, taken before its rebuild, and the comparison with what it does now.

::

    python -m tools.oracle record FOLDER     record anew into FOLDER/life.jsonl, year.jsonl, demo.jsonl
    python -m tools.oracle compare           record anew and compare with tests/data/oracle/

A recording has one JSON line for each pass. It is written in the words of the new version, and it holds no paths of
the machine, no inode numbers and nothing that depends on the wall clock.

============  ==========================================================================================
terms.py      what the program prints -> the words of the record; the only module that knows either
passes.py     what is kept of each pass, taken from the command line, the metrics and the tree on disk
lines.py      the JSON lines: each pass as what has changed since the one before
two_months.py, forty_days.py, demo_days.py   the three recordings
recordings.py their names, and how to record them in UTC
differences.py   what differs between two recordings, and how it is shown
accepted.py   differences that were asked for
============  ==========================================================================================
"""
