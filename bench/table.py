# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks and prints the table of ratios that stands in the README.

A row divides what one side reaches by what the best of other sides reaches. All sides of a row run in
one process, on the same memory, in random order, several times; the medians are divided. Only the
build for this machine and the build for any machine are two processes: they take turns.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent / "README.md"
# What Google Benchmark adds to a name.
CLOCK = r"((min_time:[0-9.]+|iterations:[0-9]+)/)?(process_time|real_time|manual_time)"
# What is kept of a repetition.
RATES = {"bytes": "bytes_per_second", "items": "items_per_second", "over_gemm": "over_gemm"}
BEGIN, END = "<!-- bench/run --readme writes this -->", "<!-- to here -->"

OURS = "prefopt_bench"
NATIVE = "prefopt_bench_native"


@dataclasses.dataclass
class Row:
    what: str
    ours: str  # the name of our side
    beside: list  # names of the other sides; the fastest counts
    label: str  # what they are
    must: float | None = None  # the ratio this project holds itself to
    aim: float | None = None
    by: str = "bytes"  # what per second
    program: str = OURS
    native: bool = False  # the other side is the same name in the native build

    def names(self):
        return [self.ours, *self.beside]


def side(group, ours, *others):
    return f"{group}/{ours}", [f"{group}/{o}" for o in others]


def sections(torches):
    """[(title, [Row])]."""
    small, tall, large = "64x32000", "512x50257", "512x128256"
    mib = {small: "8 MB", tall: "103 MB", large: "263 MB"}

    def memory(what, group, others, label, must=None, aim=None):
        return Row(what, *side(group, "prefopt", *others), label, must, aim)

    bandwidth = [
        memory(f"log-probs, f32, {mib[large]}", f"forward/f32/{large}", ["read"], "read", 0.85, 0.95),
        memory(f"log-probs, f32, {mib[tall]}", f"forward/f32/{tall}", ["read"], "read", 0.85, 0.95),
        memory(f"log-probs, f32, {mib[large]}", f"forward/f32/{large}", ["read_four_streams"],
               "read, as four streams"),
        memory(f"log-probs, f32, {mib[large]}, 2 threads", f"forward_2t/f32/{large}", ["read"],
               "read, 2 threads", 0.90, 1.0),
        memory(f"gradient in place, f32, {mib[large]}", f"backward_in_place/f32/{large}",
               ["read_write"], "read + write in place", 0.90, 1.0),
        memory(f"gradient in place, f32, {mib[large]}, 2 threads",
               f"backward_in_place_2t/f32/{large}", ["read_write"],
               "read + write in place, 2 threads"),
        memory(f"gradient to other memory, f32, {mib[large]}", f"backward/f32/{large}",
               ["copy", "copy_streaming"], "copy, the better of two"),
        memory(f"log-probs and direction in one sweep, f32, {mib[large]}", f"one_sweep/f32/{large}",
               ["read_write"], "read + write in place"),
        memory(f"log-probs and direction in one sweep, f32, {mib[large]}", f"one_sweep/f32/{large}",
               ["copy", "copy_streaming"], "copy, the better of two"),
        memory("DPO loss and gradients, f32, 1e6 pairs", "dpo/f32/1000000",
               ["streams", "streams_streaming"], "4 reads + 3 writes", 0.7, 0.9),
        memory("DPO loss and gradients, f32, 1e7 pairs", "dpo/f32/10000000",
               ["streams", "streams_streaming"], "4 reads + 3 writes", 0.7, 0.9),
        memory("soft update, f32, 2e7 parameters", "soft_update/f32/20000000", ["triad"],
               "triad in place", 0.90, 0.97),
    ]
    forward = f"forward/{{}}/{small}/prefopt"
    ourselves = [
        Row(f"log-probs, bf16, {mib[small]} as f32", forward.format("bf16"), [forward.format("f32")],
            "f32, elements per second", 0.80, 0.95, "items"),
        Row(f"log-probs, fp16, {mib[small]} as f32", forward.format("f16"), [forward.format("f32")],
            "f32, elements per second", 0.80, 0.95, "items"),
        memory(f"one sweep, f32, {mib[large]}", f"one_sweep/f32/{large}", ["forward_then_backward"],
               "forward, then backward in place", 1.3),
        memory(f"one sweep, f32, {mib[small]}", f"one_sweep/f32/{small}", ["forward_then_backward"],
               "forward, then backward in place", 1.3),
        Row("log_sigmoid and derivative in one call, f32, 1e5",
            *side("log_sigmoid_and_derivative/f32/100000", "prefopt", "two_calls"), "two calls",
            1.3, 1.6, "items"),
    ]

    def tensors(backend, what, program=OURS):
        """What the tensors of a backend cost, where there is the least to hide it behind."""
        same = "the same call on pointers"

        def row(of, group, raw, label):
            return Row(f"{what}: {of}", *side(group, backend, raw), label, 0.95, 1.0, program=program)

        return [
            row("log-probs of 64 rows of 512", "abstraction/f32/64x512", "view", same),
            row("DPO of 1000 pairs", "abstraction_dpo/f32/1000", "spans", same),
        ]

    abstraction = [
        Row(f"{what}: log-probs of 64 rows of {vocab}",
            *side(f"abstraction/f32/64x{vocab}", backend, "raw_loop"), "a loop around the kernel",
            *((0.95, 1.0) if backend == "view" else ()))
        for backend, what, vocab in [
            ("view", "pointers", 512), ("view", "pointers", 32000), ("allocating", "a result of its own", 512)]
    ] + [
        row for backend, what in [
            ("eigen", "Eigen"), ("eigen_tensor", "Eigen's Tensor"), ("xtensor", "xtensor"),
            ("mdspan", "mdspan"), ("dlpack", "DLPack"), ("ggml", "ggml")]
        for row in tensors(backend, what)
    ] + [
        *(row for version in torches
          for row in tensors("at_tensor", f"libtorch {version}", f"prefopt_bench_torch_{version}")),
    ]
    native = [
        Row(f"plain -O2: {what}", name, [], "-march=native", 0.95, 1.0, "items", OURS, True)
        for what, name in [
            ("log-probs, f32, 8 MB", f"forward/f32/{small}/prefopt"),
            ("log-probs, bf16, 4 MB", f"forward/bf16/{small}/prefopt"),
            ("gradient in place, f32, 8 MB", f"backward_in_place/f32/{small}/prefopt"),
            ("DPO, f32, 1e5 pairs", "dpo/f32/100000/prefopt"),
            ("KTO, f32, 1e5 answers", "kto/f32/100000/prefopt"),
            ("Plackett-Luce, f32, 25000 lists of 4", "plackett_luce/f32/25000x4/prefopt"),
            ("soft update, f32, 1e5", "soft_update/f32/100000/prefopt"),
            ("log_sigmoid, f32, 1e5", "log_sigmoid/f32/100000/prefopt"),
        ]
    ]
    def fused(what, name, label, must=None, aim=None):
        return Row(what, name, [], label, must, aim, "over_gemm")

    linear = [
        fused(f"fused linear + log-probs, 512 x {width}, V 32000{back}", f"linear_{kind}_cblas/512/{width}/32000",
              "its matrix products alone, OpenBLAS", 1 / 1.08, 1 / 1.02)
        for width in (768, 4096) for kind, back in (("forward", ""), ("backward", ", both gradients"))
    ]
    headers = []
    for size in (small, large):
        group = f"forward/f32/{size}"
        what = f"log-probs, f32, {mib[size]}"
        headers += [
            Row(what, *side(group, "prefopt", "eigen"), "Eigen", 2.0, 3.0),
            Row(what, *side(group, "prefopt", "xtensor"), "xtensor with xsimd"),
            Row(what, *side(group, "prefopt", "onednn"), "oneDNN"),
        ]
    headers += [
        Row("log-probs, bf16, 4 MB", *side(f"forward/bf16/{small}", "prefopt", "onednn"), "oneDNN"),
        Row(f"log-probs, f32, {mib[large]}, 2 threads",
            *side(f"forward_2t/f32/{large}", "prefopt", "onednn"), "oneDNN, 2 threads"),
        Row(f"gradient in place, f32, {mib[large]}",
            *side(f"backward_in_place/f32/{large}", "prefopt", "eigen"), "Eigen"),
        *(Row(f"log_sigmoid, {t}, 1e5", *side(f"log_sigmoid/{t}/100000", "prefopt", peer), label,
              *((3.0, 4.5) if (t, peer) == ("f32", "eigen") else ()))
          for t in ("f32", "f64") for peer, label in (("eigen", "Eigen"), ("xtensor", "xtensor with xsimd"))),
    ]

    def torch_rows(version):
        program = f"prefopt_bench_torch_{version}"
        new = tuple(map(int, version.split("."))) >= (2, 6)  # which the musts are about

        def row(what, group, ours, others, label, must=None, aim=None):
            return Row(what, *side(group, ours, *others), label, must, aim, "items", program)

        best = ["log_softmax", "logsumexp"]
        gather = "log_softmax + gather, or logsumexp"
        rows = [
            row(f"log-probs, f32, {mib[small]}", f"forward/f32/{small}", "prefopt", best, gather, 4, 5.5),
            row(f"log-probs, f32, {mib[large]}", f"forward/f32/{large}", "prefopt", best, gather, 4, 5.5),
            row(f"log-probs, f32, {mib[small]}, 2 threads", f"forward_2t/f32/{small}", "prefopt", best,
                gather),
            row(f"log-probs, f32, {mib[large]}, 2 threads", f"forward_2t/f32/{large}", "prefopt", best,
                gather, 2.5, 3),
            row("log-probs, bf16, 4 MB", f"forward/bf16/{small}", "prefopt", best, gather, 3.5, 5),
            row("log-probs, bf16, 131 MB", f"forward/bf16/{large}", "prefopt", best, gather, 3.5, 5),
        ]
        if new:  # the first libtorch has no log_softmax of fp16
            rows.append(row("log-probs, fp16, 131 MB", f"forward/f16/{large}", "prefopt", best, gather))
        for size in (small, large):
            group = f"backward/f32/{size}"
            rows.append(row(f"gradient to other memory, f32, {mib[size]}", group, "prefopt",
                            ["log_softmax_backward"], "backward of log_softmax + gather", 2.3, 4))
            rows.append(row(f"gradient to other memory, f32, {mib[size]}", group, "prefopt",
                            ["kernel_alone"], "its last kernel, from saved log-probs"))
            rows.append(row(f"gradient in place, f32, {mib[size]}", f"backward_in_place/f32/{size}",
                            "prefopt", ["softmax"], "softmax, mul_, scatter_add_ in place", 3, 5))
        for size in (small, tall):
            group = f"dpo_from_logits/f32/{size}"
            rows.append(row(f"DPO from 2 x {mib[size]} of logits to their gradient", group, "prefopt",
                            ["autograd"], "autograd", 4, 6))
            rows.append(row(f"the same, over the logits, {mib[size]}", group, "prefopt_in_place",
                            ["autograd"], "autograd"))
        rows += [
            row("DPO loss and gradients, f32, 1e3 pairs", "dpo/f32/1000", "prefopt", ["autograd"],
                "autograd"),
            row("DPO loss and gradients, f32, 1e6 pairs", "dpo/f32/1000000", "prefopt", ["autograd"],
                "autograd", 10),
            row("soft update, f32, 2e7 parameters", "soft_update/f32/20000000", "prefopt", ["lerp"],
                "lerp_"),
            row("soft update, bf16, 2e7 parameters", "soft_update/bf16/20000000", "prefopt", ["lerp"],
                "lerp_"),
        ]
        for t in ("f32", "f64"):
            rows.append(row(f"log_sigmoid, {t}, 1e5", f"log_sigmoid/{t}/100000", "prefopt", ["torch"],
                            "log_sigmoid"))
            rows.append(row(f"log_sigmoid and derivative, {t}, 1e5",
                            f"log_sigmoid_and_derivative/{t}/100000", "prefopt", ["torch"],
                            "log_sigmoid and its backward"))
        if not new:
            rows = [dataclasses.replace(r, must=None, aim=None) for r in rows if r.must is not None]
        return rows

    return [
        ("This machine's memory", bandwidth),
        ("prefopt itself", ourselves),
        ("Anybody's tensors", abstraction),
        ("The same sources for any x86-64 and for this machine alone", native),
        ("Without ever holding the logits", linear),
        ("Eigen, xtensor, oneDNN", headers),
        *((f"libtorch {version}", torch_rows(version)) for version in torches),
    ]


def clusters(rows):
    """Sets of names that must share a process: rows that share a name share it."""
    groups = []
    for row in rows:
        names = set(row.names())
        touched = [g for g in groups if g & names]
        groups = [g for g in groups if not g & names] + [names.union(*touched)]
    return groups


def listed(program):
    """The names a program knows."""
    known = subprocess.run([str(program), "--benchmark_list_tests"], capture_output=True, text=True, check=True)
    return {re.sub(f"/{CLOCK}$", "", line) for line in known.stdout.split()}


def run(program, names, options):
    """{name: {"bytes": [...], "items": [...]}} and the context of the process."""
    heavy = any(name.startswith("linear_") for name in names)  # a median of its own already
    command = [
        str(program),
        "--benchmark_filter=^(" + "|".join(sorted(names)) + f")/{CLOCK}$",
        "--benchmark_format=json",
        f"--benchmark_min_time={options.seconds}",
        f"--benchmark_repetitions={1 if heavy else options.repetitions}",
        "--benchmark_enable_random_interleaving=true",
    ]
    environment = dict(os.environ)
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "avx512bw" in pathlib.Path("/proc/cpuinfo").read_text():
        environment.setdefault("ATEN_CPU_CAPABILITY", "avx512")  # libtorch 1.13 does not choose it
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    report = json.loads(done.stdout)
    samples = {}
    for b in report["benchmarks"]:
        name = re.sub(f"/{CLOCK}.*$", "", b["run_name"])
        if b.get("error_occurred"):
            sys.exit(f"bench/table.py: {name}: {b['error_message']}")
        if b.get("run_type") == "aggregate":
            continue
        for by, key in RATES.items():
            if key in b:
                samples.setdefault(name, {}).setdefault(by, []).append(b[key])
    return samples, report["context"]


def measure(rows, options):
    """{program: {name: {"bytes": median, ...}}}, context. Programs are files; of the two builds that
    take turns, the second has ":turns" after its name, and so has the first."""
    medians, context = {}, {}

    def keep(program, name, rates):
        medians.setdefault(program, {})[name] = {by: statistics.median(v) for by, v in rates.items()}

    known = {program: listed(options.programs / program) for program in {r.program for r in rows}}
    rows = [r for r in rows if known[r.program].issuperset(r.names())]
    jobs = []
    for program in dict.fromkeys(r.program for r in rows if not r.native):
        jobs += [(program, names)
                 for names in clusters([r for r in rows if r.program == program and not r.native])]
    turns = [r.ours for r in rows if r.native]
    for i, (program, names) in enumerate(jobs):
        print(f"[{i + 1}/{len(jobs)}] {program}: {', '.join(sorted(names))}", file=sys.stderr)
        samples, seen = run(options.programs / program, names, options)
        context.update(seen)
        for name, rates in samples.items():
            keep(program, name, rates)
    if turns:
        rounds = {OURS: {}, NATIVE: {}}
        for i in range(options.rounds):
            print(f"[turn {i + 1}/{options.rounds}] {OURS}, {NATIVE}", file=sys.stderr)
            for program, sums in rounds.items():
                for name, rates in run(options.programs / program, turns, options)[0].items():
                    for by, values in rates.items():
                        sums.setdefault(name, {}).setdefault(by, []).append(statistics.median(values))
        for program, sums in rounds.items():
            for name, rates in sums.items():
                keep(program + ":turns", name, rates)
    return medians, context


def rate(value, by):
    if value is None:
        return ""
    if by == "bytes":
        return f"{value / 1e9:.1f} GB/s"
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {letter}/s"
    return f"{value:.3g} /s"


def ratio_of(row, medians):
    """(ours, theirs, ratio) or None."""
    if row.native:
        ours = medians.get(OURS + ":turns", {}).get(row.ours)
        others = [medians.get(NATIVE + ":turns", {}).get(row.ours)]
    else:
        ours = medians.get(row.program, {}).get(row.ours)
        others = [medians.get(row.program, {}).get(name) for name in row.beside]
    if row.by == "over_gemm":  # one number of the benchmark's own: time over time
        return ours and (None, None, 1 / ours["over_gemm"])
    others = [o for o in others if o]
    if not ours or not others:
        return None
    theirs = max(o[row.by] for o in others)
    return ours[row.by], theirs, ours[row.by] / theirs


def machine(context, medians, options):
    cpu = platform.processor() or "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    caches = [c for c in context.get("caches", []) if c["type"] != "Instruction"]
    sizes = ", ".join(f"L{c['level']} {c['size'] // 1024} KiB" for c in caches)
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    peers = ", ".join(f"{title} {context[key]}" for title, key in
                      (("Eigen", "eigen"), ("xtensor", "xtensor"), ("oneDNN", "onednn")) if key in context)
    load = f"{context['load_avg'][0]:.1f}" if context.get("load_avg") else "?"
    return (f"{context.get('date', '')[:10]}, {cpu}, {context.get('num_cpus')} cores (load {load}), {sizes}, "
            f"{context.get('instruction_set', '?')}; {compiler}; {peers}; medians of "
            f"{options.repetitions} interleaved repetitions.")


def table(all_sections, medians, context, options):
    lines = ["| what | prefopt | beside | | ratio | must | aim |", "| --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    below = 0
    for title, rows in all_sections:
        measured = [(row, found) for row in rows if (found := ratio_of(row, medians))]
        if measured:
            lines.append(f"| **{title}** | | | | | | |")
        for row, found in measured:
            ours, theirs, ratio = found
            text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
            if row.must is not None:
                met = ratio >= row.must
                below += not met
                text = f"**{text}**" if met else f"{text} ✗"
            shown = [f"{x:.3g}" if x is not None else "" for x in (row.must, row.aim)]
            lines.append(f"| {row.what} | {rate(ours, row.by)} | {row.label} | {rate(theirs, row.by)} | "
                         f"{text} | {shown[0]} | {shown[1]} |")
    lines += ["", f"*{machine(context, medians, options)}*"]
    return "\n".join(lines), below


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=HERE.parent / "build/bench/bench",
                        help="folder of the benchmark programs")
    parser.add_argument("--quick", action="store_true", help="two minutes, to see that all works")
    parser.add_argument("--repetitions", type=int, help="of each side (11; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of each repetition, at least (0.1; quick: 0.01)")
    parser.add_argument("--rounds", type=int, help="of the two builds in turn (5; quick: 2)")
    parser.add_argument("--only", metavar="REGEX", help="rows whose section or text it matches")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--results", type=pathlib.Path, metavar="FILE",
                        help="print the table of an earlier run's results.json; measure nothing")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (3 if options.quick else 11)
    options.seconds = options.seconds or (0.01 if options.quick else 0.1)
    options.rounds = options.rounds or (2 if options.quick else 5)

    if options.results:
        saved = json.loads(options.results.read_text())
        torches, medians, context = saved["torches"], saved["medians"], saved["context"]
        options.repetitions = saved["repetitions"]
        chosen = sections(torches)
    else:
        torches = sorted((p.name.removeprefix("prefopt_bench_torch_")
                          for p in options.programs.glob("prefopt_bench_torch_*")),
                         key=lambda v: [-int(n) for n in v.split(".")])
        chosen = sections(torches)
    if options.only:
        chosen = [(title, [r for r in rows if re.search(options.only, f"{title}: {r.what}: {r.label}")])
                  for title, rows in chosen]
        chosen = [(title, rows) for title, rows in chosen if rows]
    if not options.results:
        medians, context = measure([r for _, rows in chosen for r in rows], options)
        saved = {"torches": torches, "medians": medians, "context": context,
                 "repetitions": options.repetitions}
        (options.programs / "results.json").write_text(json.dumps(saved, indent=1))

    text, below = table(chosen, medians, context, options)
    print(text)
    if below:
        print(f"\n{below} ratios are below what they must reach (✗).", file=sys.stderr)
    if options.readme:
        page = README.read_text()
        before, rest = page.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
