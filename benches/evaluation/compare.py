"""Compares Kinsight with pytorch-metric-learning, scikit-learn and faiss: values, time and memory; see README.md."""

import argparse
import json
import pathlib
import sys
import tempfile

from measured import measured

RIVALS = pathlib.Path(__file__).parent / "rivals.py"
# Rankings by 32-bit products may swap near ties; Kinsight decides them in 64 bits.
TOLERANCE = 2e-4
KS = "1,2,4,8"


def kinsight(binary, rows, metrics):
    command = [binary / "kinsight", "eval", "--json", "--bootstrap", "0", "--recall-at", KS, "--metrics", metrics]
    output, seconds, mib = measured([*command, "--embeddings", rows])
    found = json.loads(output)
    values = dict(found["metrics"])
    values |= {f"pairs/{name}": value for name, value in (found.get("pairs") or {}).items() if isinstance(value, float)}
    return values, seconds, mib


def rival(name, rows):
    output, seconds, mib = measured([sys.executable, RIVALS, name, rows])
    return json.loads(output), seconds, mib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--sizes", nargs="*", default=["2000x64x100", "10000x256x1000", "30000x512x5000"])
    arguments = parser.parse_args()
    wrong = []
    print(f"{'rows x width x classes':<24} {'what':<34} {'ours':>8} {'theirs':>8} {'ratio':>6} {'MiB':>12} {'values':>14}")
    for size in arguments.sizes:
        count, width, classes = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            rows = pathlib.Path(folder) / "rows.npy"
            measured([arguments.bin / "examples" / "clustered_set", rows, str(count), str(width), str(classes)])
            contests = [
                ("pytorch-metric-learning", "recall,map@r,r_precision,map/max_r,mrr/max_r"),
                ("faiss", "recall"),
            ]
            # For whole rankings and all pairs the rival's memory grows with n squared.
            if count <= 5000:
                contests.append(("scikit-learn", "map,ndcg,eer"))
            for name, metrics in contests:
                ours, our_seconds, our_mib = kinsight(arguments.bin, rows, metrics)
                theirs, their_seconds, their_mib = rival(name, rows)
                worst = max(abs(ours[key] - value) for key, value in theirs.items())
                if worst > TOLERANCE:
                    wrong.append((size, name, {key: (ours[key], value) for key, value in theirs.items()}))
                print(
                    f"{size:<24} {name:<34} {our_seconds:>6.2f} s {their_seconds:>6.2f} s "
                    f"{their_seconds / our_seconds:>5.1f}x {our_mib:>5.0f}/{their_mib:<6.0f} within {worst:.0e}",
                    flush=True,
                )
    for size, name, values in wrong:
        print(f"{size} {name}: values differ: {values}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
