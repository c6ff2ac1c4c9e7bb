"""Verify a certificate without Engram: python verify_certificate.py [FOLDER [EXAMPLES.npy]]; exit code 0: it holds.

FOLDER holds certificate.json and the arrays it names. EXAMPLES.npy, kept elsewhere, holds the forgotten examples as
integers: with them put back, the sums must be exactly those of the state before."""
import hashlib, json, sys  # noqa: E401, I001
from pathlib import Path
import numpy as np

sys.stdout.reconfigure(errors="backslashreplace")
folder, failures = Path(sys.argv[1] if len(sys.argv) > 1 else "."), []

def check(holds, sentence):
    print("ok  " if holds else "FAIL", "".join(c if c.isprintable() else ascii(c)[1:-1] for c in sentence))
    failures.extend([] if holds else [sentence])

def read(state):  # -> {label: [count, sum of its examples]}, and the sum of x x^T over all examples
    for file, sha256 in state["files"].items():
        check(hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256, f"{file} is unaltered")
    sums, gram = (np.load(folder / file, allow_pickle=False).astype("<i8") for file in state["files"])
    return {c: [n, row] for c, n, row in zip(state["labels"], state["counts"], sums, strict=True)}, gram

def read_log(log):  # the same of the examples in a log: all of them, added up here
    for file, sha256 in log["files"].items():
        with (folder / file).open("rb") as opened:
            check(hashlib.file_digest(opened, "sha256").hexdigest() == sha256, f"{file} is unaltered")
    rows, places = (np.load(folder / file, mmap_mode="r" if log["examples"] else None) for file in log["files"])
    classes = {label: [0, np.zeros(rows.shape[1], "<i8")] for label in log["labels"]}
    gram = np.zeros((rows.shape[1], rows.shape[1]), "<i8")
    for start in range(0, len(rows), 4096):  # so many squares of int16 add up exactly in a double
        some, which = rows[start : start + 4096].astype("<f8"), places[start : start + 4096]
        gram += (some.T @ some).astype("<i8")
        for place in np.unique(which):
            entry = classes[log["labels"][place]]
            entry[0] += int((which == place).sum())
            entry[1] += some[which == place].sum(axis=0).astype("<i8")
    check(len(rows) == len(places) == log["examples"], f"{len(rows)} examples are added up")
    return classes, gram

def digest(states):  # of the union: integers are added, so no order matters and nothing is rounded
    classes, gram = {}, sum(more for _, more in states)
    for label, (count, row) in (item for part, _ in states for item in part.items()):
        classes[label] = [count + classes.get(label, [0])[0], row + classes.get(label, [0, 0])[1]]
    kept = sorted(label for label in classes if classes[label][0])
    total = hashlib.sha256("".join(f"{json.dumps(c)} {classes[c][0]}\n" for c in kept).encode())
    for array in [*(classes[c][1] for c in kept), gram] if kept else []:
        total.update(np.ascontiguousarray(array, "<i8").tobytes())
    return total.hexdigest()

said = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
seal = hashlib.sha256(json.dumps({k: v for k, v in said.items() if k != "sha256"}, sort_keys=True).encode())
check(seal.hexdigest() == said["sha256"], "certificate.json is unaltered")
states = {name: read(state) for name, state in said["states"].items()}
if "log" in said:
    states["log"] = read_log(said["log"])
for claim in said["sums"]:
    check(digest([states[name] for name in claim["of"]]) == claim["digest"], claim["sentence"])
if gone := said["forgotten"]:
    receipts = {label: listed for label, *listed in gone["receipts"]}
    counts = {label: count for label, (count, _) in states["now"][0].items()}
    check({c: len(listed) for c, listed in receipts.items()} == counts, "there is one receipt for each example")
    check(not {r for listed in receipts.values() for r in listed} & set(gone["examples"]), "none is a forgotten one's")
    if gone["label"] is not None:
        check(gone["label"] not in counts, "the forgotten label is not known")
if gone and len(sys.argv) > 2:
    rows = np.load(sys.argv[2], allow_pickle=False).astype("<i8")
    found = [hashlib.sha256(row.astype("<i2").tobytes()).hexdigest()[:32] for row in rows]
    check(found == gone["examples"], "EXAMPLES.npy holds the forgotten examples")
    back = [({label: [1, row]}, np.outer(row, row)) for label, row in zip(gone["labels"], rows, strict=True)]
    check(digest([states["now"], *back]) == gone["before"], "with them put back, the state is exactly the one before")
sys.exit(len(failures) > 0)
