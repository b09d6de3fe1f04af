"""Prints one rival's metrics of a set of embeddings as JSON, under Kinsight's names: rivals.py NAME ROWS.npy"""

import json
import sys

import numpy as np


def load(path):
    rows = np.load(path)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, np.load(path.replace(".npy", ".labels.npy"))


def pytorch_metric_learning(rows, labels):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    torch.set_num_threads(2)
    names = {
        "precision_at_1": "precision@1",
        "mean_average_precision_at_r": "map@r",
        "r_precision": "r_precision",
        "mean_average_precision": "map/max_r",
        "mean_reciprocal_rank": "mrr/max_r",
    }
    calculator = AccuracyCalculator(include=tuple(names), k="max_bin_count", device=torch.device("cpu"))
    found = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    return {ours: float(found[theirs]) for theirs, ours in names.items()}


def faiss(rows, labels):
    import faiss

    faiss.omp_set_num_threads(2)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    _, found = index.search(rows, 9)
    # The query itself comes first, unless it has a duplicate.
    answers = np.array([[item for item in row if item != query][:8] for query, row in enumerate(found)])
    right = labels[answers] == labels[:, None]
    return {f"recall@{k}": float(right[:, :k].any(axis=1).mean()) for k in (1, 2, 4, 8)}


def scikit_learn(rows, labels):
    from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

    scores = rows.astype(np.float64) @ rows.astype(np.float64).T
    same = labels[:, None] == labels[None, :]
    others = ~np.eye(len(labels), dtype=bool)
    precisions, gains = [], []
    for query in range(len(labels)):
        truth, score = same[query][others[query]], scores[query][others[query]]
        if truth.any():
            precisions.append(average_precision_score(truth, score))
            gains.append(ndcg_score([truth.astype(float)], [score], k=8))
    pairs = np.triu_indices(len(labels), 1)
    return {
        "map": float(np.mean(precisions)),
        "ndcg@8": float(np.mean(gains)),
        "pairs/area_under_roc": float(roc_auc_score(same[pairs], scores[pairs])),
    }


if __name__ == "__main__":
    compute = {"pytorch-metric-learning": pytorch_metric_learning, "faiss": faiss, "scikit-learn": scikit_learn}
    print(json.dumps(compute[sys.argv[1]](*load(sys.argv[2]))))
