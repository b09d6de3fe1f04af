"""Measures hnswlib, usearch and faiss on the vectors written by the example search_speed; see run."""
import json
import os
import sys
import time

import numpy as np

folder, count, libraries = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
vectors = np.load(f"{folder}/vectors.npy", mmap_mode="r")
base, added = np.ascontiguousarray(vectors[:count]), np.ascontiguousarray(vectors[count:])
queries = np.load(f"{folder}/queries.npy")
truth = np.loadtxt(f"{folder}/truth.txt", dtype=np.int64)
filtered = np.arange(0, count, 100)
filtered_truth = filtered[np.argsort(-(queries @ base[filtered].T), axis=1)[:, :10]]
threads = os.cpu_count()
M, EF_CONSTRUCTION = 16, 128
EFS = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512]


def say(library, what, **values):
    print(json.dumps({"library": library, "what": what, **{k: round(v, 6) for k, v in values.items()}}), flush=True)


def recall(found, wanted):
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, wanted)]))


def at_recall(library, what, wanted, search):
    """Queries/s at the first ef that reaches recall 0.95, one query at a time."""
    for ef in EFS:
        started = time.perf_counter()
        found = [search(query, ef) for query in queries]
        seconds = time.perf_counter() - started
        reached = recall(found, wanted)
        if reached >= 0.95 or ef == EFS[-1]:
            say(library, what, queries_per_s=len(queries) / seconds, recall_at_10=reached, ef=ef)
            return


def timed(library, what, work):
    started = time.perf_counter()
    result = work()
    say(library, what, seconds=time.perf_counter() - started)
    return result


def size(library, path):
    say(library, "size", bytes_per_vector=os.path.getsize(path) / count)


def hnswlib_():
    import hnswlib
    index = hnswlib.Index(space="ip", dim=base.shape[1])
    index.init_index(max_elements=count + len(added), M=M, ef_construction=EF_CONSTRUCTION)
    timed("hnswlib", "build", lambda: index.add_items(base, num_threads=threads))
    index.set_num_threads(1)

    def search(query, ef, **more):
        index.set_ef(ef)
        return index.knn_query(query, k=10, num_threads=1, **more)[0][0]

    at_recall("hnswlib", "plain", truth, search)
    at_recall("hnswlib", "filtered", filtered_truth, lambda q, ef: search(q, ef, filter=lambda label: label % 100 == 0))
    timed("hnswlib", "add 10000", lambda: index.add_items(added, num_threads=threads))
    index.save_index(f"{folder}/hnswlib")
    size("hnswlib", f"{folder}/hnswlib")
    other = hnswlib.Index(space="ip", dim=base.shape[1])
    timed("hnswlib", "open", lambda: other.load_index(f"{folder}/hnswlib"))


def usearch_(dtype):
    from usearch.index import Index
    name = f"usearch {dtype}"
    options = dict(ndim=base.shape[1], metric="ip", dtype=dtype, connectivity=M, expansion_add=EF_CONSTRUCTION)
    index = Index(**options)
    timed(name, "build", lambda: index.add(np.arange(count), base, threads=threads))

    def search(query, ef):
        index.expansion_search = ef
        return index.search(query, 10, threads=1).keys

    at_recall(name, "plain", truth, search)
    timed(name, "add 10000", lambda: index.add(np.arange(count, count + len(added)), added, threads=threads))
    index.save(f"{folder}/usearch")
    size(name, f"{folder}/usearch")
    timed(name, "open", lambda: Index(**options).view(f"{folder}/usearch"))


def faiss_():
    import faiss
    index = faiss.IndexHNSWFlat(base.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    timed("faiss HNSW", "build", lambda: index.add(base))
    faiss.omp_set_num_threads(1)
    keep = faiss.IDSelectorBatch(filtered)

    def search(query, ef, sel=None):
        return index.search(query[None], 10, params=faiss.SearchParametersHNSW(efSearch=ef, sel=sel))[1][0]

    at_recall("faiss HNSW", "plain", truth, search)
    at_recall("faiss HNSW", "filtered", filtered_truth, lambda q, ef: search(q, ef, keep))
    flat = faiss.IndexFlatIP(base.shape[1])
    flat.add(base)
    at_recall("faiss flat", "plain", truth, lambda q, ef: flat.search(q[None], 10)[1][0])
    faiss.omp_set_num_threads(threads)
    timed("faiss HNSW", "add 10000", lambda: index.add(added))
    faiss.write_index(index, f"{folder}/faiss")
    size("faiss HNSW", f"{folder}/faiss")
    timed("faiss HNSW", "open", lambda: faiss.read_index(f"{folder}/faiss"))


WAYS = {
    "hnswlib": hnswlib_,
    "usearch-f32": lambda: usearch_("f32"),
    "usearch-i8": lambda: usearch_("i8"),
    "faiss": faiss_,
}
for library in libraries or WAYS:
    WAYS[library]()
