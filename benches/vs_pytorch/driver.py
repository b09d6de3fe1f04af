"""Runs the rows of the comparison: both programs run at once and take turns; prints one table."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import make_inputs

HERE = os.path.dirname(os.path.abspath(__file__))
THREADS = "2"
SMALL, BASE = "vit_small_patch16_224", "vit_base_patch16_224"


class Side:
    """A program that reads commands from standard input, one per line."""

    def __init__(self, command):
        environment = dict(os.environ, OMP_NUM_THREADS=THREADS, MKL_NUM_THREADS=THREADS, RAYON_NUM_THREADS=THREADS)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment, stderr=None)
        self.command = command
        if self.answer() != "ready":
            sys.exit(f"{' '.join(command)} did not say that it is ready")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.command)} ended with {self.process.wait()}")
        return line.strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def seconds(self, steps):
        return float(self.ask(f"steps {steps}")) / steps

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    def __init__(self, ours, folder, quick):
        self.ours, self.folder, self.quick, self.rows, self.peaks = ours, folder, quick, [], None
        os.makedirs(folder, exist_ok=True)

    def file(self, name, make):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            make(path)
        return path

    def pair(self, ours, rival):
        return Side([self.ours, *ours]), Side([sys.executable, os.path.join(HERE, "rival.py"), *rival])

    def in_turns(self, sides, images, turn_seconds):
        """Median seconds per step of each side, and the median of the turns' ratios."""
        turns = 3 if self.quick else 7
        steps = []
        for side in sides:
            side.seconds(1)
            steps.append(max(1, round(turn_seconds / side.seconds(1))))
        pairs = [[side.seconds(count) for side, count in zip(sides, steps)] for _ in range(turns)]
        ours, rival = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        ratios = sorted(pair[1] / pair[0] for pair in pairs)
        return {"ours": images / ours, "rival": images / rival, "ratio": statistics.median(ratios),
                "ratio_low": ratios[0], "ratio_high": ratios[-1]}

    def agreement(self, sides, compare):
        paths = [os.path.join(self.folder, name) for name in ("ours.safetensors", "rival.safetensors")]
        self.dump_seconds = []
        for side, path in zip(sides, paths):
            start = time.perf_counter()
            side.ask(f"dump {path}")
            self.dump_seconds.append(time.perf_counter() - start)
        from safetensors.numpy import load_file

        return compare(*(load_file(path) for path in paths))

    def add(self, row):
        self.rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)


def relative(ours, rival):
    """Norm of the difference relative to the rival's norm, in double precision."""
    import numpy

    a, b = (value.astype(numpy.float64).reshape(-1) for value in (ours, rival))
    return float(numpy.linalg.norm(a - b) / max(numpy.linalg.norm(b), 1e-30))


def same_tensors(limit):
    def compare(ours, rival):
        if set(ours) != set(rival):
            return f"FAILED: names differ: {sorted(set(ours) ^ set(rival))[:4]}"
        # The gradient of the keys' bias is zero except for rounding: leave its third out.
        for side in (ours, rival):
            for name in [n for n in side if n.endswith("attn.qkv.bias")]:
                third = side[name].size // 3
                side[name] = side[name].reshape(-1)[[*range(third), *range(2 * third, 3 * third)]]
        found = sorted((relative(ours[name], rival[name]), name) for name in ours)
        worst = found[-1]
        # Written so that a NaN anywhere fails.
        verdict = "ok" if all(difference <= limit for difference, _ in found) else "FAILED"
        return f"{verdict}: {len(ours)} tensors, median {found[len(found) // 2][0]:.1e}, worst {worst[0]:.1e} ({worst[1]})"

    return compare


def embed(bench, name, model, batch, precision, bar):
    options = [f"precision={precision}"]
    files = [bench.file(f"{model}.safetensors", lambda p: make_inputs.weights(p, model)),
             bench.file(f"inputs_{batch}.safetensors", lambda p: make_inputs.inputs(p, batch))]
    sides = bench.pair(["embed", *files, *options], ["embed", *files, f"model={model}", *options])
    agree = bench.agreement(sides, same_tensors(1e-4 if precision == "f32" else 3e-2))
    bench.add({"name": name, "unit": "img/s", "bar": bar, "agree": agree,
               **bench.in_turns(sides, batch, 0.8 if bench.quick else 2.0)})
    for side in sides:
        side.end()


def step_flops(model, method):
    """Floating-point operations of one image's matrix products per step: the last block computes only the class token,
    and frozen weights have no gradient."""
    width = make_inputs.WIDTHS[model][0]
    tokens, depth = 197, 12
    def tower(prompts):
        keys = tokens + prompts
        forward = 0.0
        backward = 0.0
        for block in range(depth):
            rows = 1 if block == depth - 1 else tokens
            linear = 2 * width * width * (2 * tokens + rows * (1 + 1 + 8))
            attention = 2 * 2 * rows * keys * width
            forward += linear + attention
            backward += linear + 2.5 * attention
        return forward + backward
    patches = 2 * 196 * 768 * width
    return patches + tower(10) + (tower(3) if method == "vptsp-g" else 0)


def train(bench, name, model, batch, precision, bar, method="vpt", checkpoint="auto"):
    options = [f"method={method}", f"precision={precision}"]
    files = [bench.file(f"{model}.safetensors", lambda p: make_inputs.weights(p, model)),
             bench.file(f"start_{model}.safetensors", lambda p: make_inputs.start(p, model)),
             bench.file(f"inputs_{batch}.safetensors", lambda p: make_inputs.inputs(p, batch))]
    sides = bench.pair(["train", *files, *options, f"checkpoint={checkpoint}"],
                       ["train", *files, f"model={model}", *options])
    agree = bench.agreement(sides, same_tensors(1e-3 if precision == "f32" else 0.15))
    row = {"name": name, "unit": "img/s", "bar": bar, "agree": agree,
           **bench.in_turns(sides, batch, 1.5 if bench.quick else 3.0)}
    row["gflops"] = row["ours"] * step_flops(model, method) / 1e9
    if precision == "f32":
        row["share_of_peak"] = row["gflops"] / peak(bench)["best"]
    bench.add(row)
    for side in sides:
        side.end()


def memory(bench, name, model, batch, precision, bar, checkpoint):
    """Peak resident memory over three steps, each side alone in a fresh process that was set up before."""
    files = [bench.file(f"{model}.safetensors", lambda p: make_inputs.weights(p, model)),
             bench.file(f"start_{model}.safetensors", lambda p: make_inputs.start(p, model)),
             bench.file(f"inputs_{batch}.safetensors", lambda p: make_inputs.inputs(p, batch))]
    options = ["method=vpt"]
    peaks = []
    sides = bench.pair(["train", *files, *options, f"precision={precision}", f"checkpoint={checkpoint}"],
                       ["train", *files, f"model={model}", *options])
    for side in sides:
        side.ask("forget")
        before = int(side.ask("memory")) / 1024
        side.seconds(3)
        peaks.append((int(side.ask("memory")) / 1024, before))
        side.end()
    bench.add({"name": name, "unit": "MiB", "bar": bar, "smaller": True, "ours": peaks[0][0], "rival": peaks[1][0],
               "ratio": peaks[0][0] / peaks[1][0],
               "agree": f"before the first step {peaks[0][1]:.0f} and {peaks[1][1]:.0f} MiB"})


def peak(bench):
    """The machine's measured peak of f32 matrix products: the better of both sides."""
    if bench.peaks is None:
        sides = bench.pair(["peak"], ["peak"])
        flops = 20 * 2 * 1536 * 768 * 384
        rates = [max(flops / side.seconds(2) / 1e9 for _ in range(20)) for side in sides]
        for side in sides:
            side.end()
        bench.peaks = {"ours": rates[0], "rival": rates[1], "best": max(rates)}
        bench.add({"name": "peak f32 product, GFLOP/s", "unit": "GFLOP/s", "ours": rates[0], "rival": rates[1],
                   "ratio": rates[0] / rates[1]})
    return bench.peaks


def decode(bench, name, bar):
    folder = bench.file("photographs", make_inputs.photographs)

    def compare(ours, rival):
        worst = max(float(abs(ours[n] - rival[n]).max()) for n in rival)
        mean = max(float(abs(ours[n] - rival[n]).mean()) for n in rival)
        # One level of 255 is 0.017 after normalization; two decoders may differ by a few at color edges.
        return f"{'ok' if mean < 0.02 else 'FAILED'}: worst pixel {worst:.3f}, worst picture's mean {mean:.4f}"

    sides = bench.pair(["decode", folder], ["decode", folder])
    agree = bench.agreement(sides, compare)
    bench.add({"name": name, "unit": "img/s a core", "bar": bar, "agree": agree,
               **bench.in_turns(sides, len(os.listdir(folder)), 1.0)})
    for side in sides:
        side.end()


def search(bench, name, kind, bar):
    rows = 60502
    path = bench.file(f"embeddings_{rows}.safetensors", lambda p: make_inputs.embeddings(p, rows))
    options = ["k=1000"] if kind == "search" else []

    def compare(ours, rival):
        worst = max(float(abs(ours[n] - rival[n]).max()) for n in rival)
        return f"{'ok' if worst < 2e-5 else 'FAILED'}: worst difference {worst:.1e}"

    sides = bench.pair([kind, path, *options], [kind, path, *options])
    # A turn is long, so the one that writes results for comparison counts, too; a quick run has only that one.
    agree = bench.agreement(sides, compare)
    pairs = [bench.dump_seconds] + [[side.seconds(1) for side in sides] for _ in range(0 if bench.quick else 2)]
    memory = [int(side.ask("memory")) / 1024 for side in sides]
    bench.add({"name": name, "unit": "s", "bar": bar, "agree": agree,
               "ours": statistics.median(p[0] for p in pairs), "rival": statistics.median(p[1] for p in pairs),
               "ratio": statistics.median(p[1] / p[0] for p in pairs), "ours_mib": memory[0], "rival_mib": memory[1]})
    for side in sides:
        side.end()


def rows():
    table = {}
    for short, model in (("S/16", SMALL), ("B/16", BASE)):
        for batch in (16, 64):
            for precision, bar in (("f32", 1.5), ("bf16", 1.3)):
                name = f"embed {short} {precision} batch {batch}"
                table[name] = lambda b, n=name, m=model, k=batch, p=precision, r=bar: embed(b, n, m, k, p, r)
    for short, model in (("S/16", SMALL), ("B/16", BASE)):
        for batch in (16, 64):
            for precision, bar in (("f32", 1.4), ("bf16", 1.3)):
                name = f"train vpt+bitfit {short} {precision} batch {batch}"
                table[name] = lambda b, n=name, m=model, k=batch, p=precision, r=bar: train(b, n, m, k, p, r)
            if batch == 16:
                name = f"train vpt+bitfit {short} f32 batch 16 checkpoint none"
                table[name] = lambda b, n=name, m=model: train(b, n, m, 16, "f32", 1.4, checkpoint="none")
            name = f"train vptsp-g {short} f32 batch {batch}"
            table[name] = lambda b, n=name, m=model, k=batch: train(b, n, m, k, "f32", 1.4, "vptsp-g")
    for short, model in (("S/16", SMALL), ("B/16", BASE)):
        for precision in ("f32", "bf16"):
            for checkpoint, bar in (("auto", 0.45), ("none", None), ("block", 0.25)):
                name = f"memory {short} {precision} batch 16 checkpoint {checkpoint}"
                table[name] = lambda b, n=name, m=model, p=precision, c=checkpoint, r=bar: memory(b, n, m, 16, p, r, c)
    table["decode JPEG to 224 px"] = lambda b: decode(b, "decode JPEG to 224 px", 2.0)
    table["search k 1000 of 60502 x 512"] = lambda b: search(b, "search k 1000 of 60502 x 512", "search", 1.0)
    table["evaluate 60502 x 512"] = lambda b: search(b, "evaluate 60502 x 512", "evaluate", 3.0)
    return table


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_table(found):
    print("| row | Kinsight | rival | ratio | bar | results agree |")
    print("|---|---|---|---|---|---|")
    for row in found:
        bar = row.get("bar")
        met = "" if bar is None else ("met" if (row["ratio"] <= bar if row.get("smaller") else row["ratio"] >= bar) else "MISSED")
        sign = "" if bar is None else ("<= " if row.get("smaller") else ">= ")
        extra = ""
        if "share_of_peak" in row:
            extra = f"; {100 * row['share_of_peak']:.0f} % of the f32 peak"
        if "ours_mib" in row:
            extra = f"; peak RSS {row['ours_mib']:.0f} and {row['rival_mib']:.0f} MiB"
        spread = f" ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})" if "ratio_low" in row else ""
        print(f"| {row['name']} | {number(row['ours'])} {row['unit']} | {number(row['rival'])} | {row['ratio']:.2f}{spread} "
              f"| {sign}{bar if bar is not None else ''} {met} | {row.get('agree', '')}{extra} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="the example program vs_pytorch")
    parser.add_argument("--rows", action="append", default=[], help="words that a row's name must contain; may repeat")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--folder", default=os.path.join(HERE, ".venv", "inputs"), help="where inputs are made and kept")
    parser.add_argument("--json", help="also write the rows there, a line each")
    arguments = parser.parse_args()
    table = rows()
    chosen = [n for n in table if not arguments.rows or any(all(w in n for w in words.split(",")) for words in arguments.rows)]
    if arguments.list:
        print("\n".join(chosen))
        return
    bench = Bench(arguments.ours, arguments.folder, arguments.quick)
    for name in chosen:
        table[name](bench)
    print_table(bench.rows)
    if arguments.json:
        with open(arguments.json, "a") as out:
            out.writelines(json.dumps(row) + "\n" for row in bench.rows)
    if any(str(row.get("agree", "")).startswith("FAILED") for row in bench.rows):
        sys.exit("results differ")


main()
