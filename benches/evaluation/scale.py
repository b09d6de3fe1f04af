"""Large evaluations with bounded memory; see README.md."""

import argparse
import json
import pathlib
import sys
import tempfile

from measured import measured

CASES = {
    "inaturalist": {"rows": 136_093, "width": 512, "classes": 2_452, "queries": 0, "gib": 1.5},
    "million": {"rows": 1_000_000, "width": 256, "classes": 20_000, "queries": 10_000, "gib": 2.5},
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--metrics", default="all")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.case or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            make = [arguments.bin / "examples" / "clustered_set"]
            rows = pathlib.Path(folder) / "rows.npy"
            shape = [str(case["width"]), str(case["classes"])]
            measured([*make, rows, str(case["rows"]), *shape])
            command = [arguments.bin / "kinsight", "eval", "--json", "--metrics", arguments.metrics]
            if case["queries"]:
                queries = pathlib.Path(folder) / "queries.npy"
                measured([*make, queries, str(case["queries"]), *shape, "1"])
                command += ["--embeddings", queries, "--gallery", rows]
            else:
                command += ["--embeddings", rows]
            output, seconds, mib = measured(command)
        found = json.loads(output)
        within = mib <= 1024 * case["gib"]
        failed |= not within
        print(
            f"{name}: {found['queries']} queries, gallery {found['gallery']} x {case['width']}: {seconds:.0f} s, "
            f"peak {mib:.0f} MiB of {1024 * case['gib']:.0f} allowed{'' if within else ': TOO MUCH'}, "
            f"recall@1 {found['metrics']['recall@1']:.4f}, map@r {found['metrics']['map@r']:.4f}",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
