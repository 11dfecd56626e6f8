"""``make fuzz``: feeds the readers what a search led by coverage thinks of (atheris), and ends at the first finding."""

import argparse
import importlib
import sys
from pathlib import Path

#: No dependency: the Makefile puts it into build/.
atheris = importlib.import_module("atheris")

with atheris.instrument_imports(include=["tidegate", "policy"]):
    from tools.fuzz.readers import READERS, SAMPLES

_NAMES = tuple(READERS)


def feed(data: bytes) -> None:
    """The first byte chooses the reader."""
    if data:
        READERS[_NAMES[data[0] % len(_NAMES)]](data[1:])


def main() -> None:
    """Goes on from the corpus that the last run left."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"))
    chosen = parser.parse_args()
    chosen.corpus.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(_NAMES):
        for place, sample in enumerate(SAMPLES[name]):
            (chosen.corpus / f"{name}-{place}").write_bytes(bytes([number]) + sample)
    findings = f"-artifact_prefix={chosen.corpus.parent}/fuzz-"
    limits = [f"-max_total_time={int(chosen.minutes * 60)}", "-timeout=20", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, findings, str(chosen.corpus)], feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
