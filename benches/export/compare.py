"""Compares exported models with Kinsight's own embeddings; run by `check`, which exports them.

Exits with 1 if ONNX Runtime, timm or transformers differs by more than 1e-4.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import onnxruntime
import timm
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModel

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

LIMIT = 1e-4
out = Path(sys.argv[1])
failed = False


def report(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    global failed
    worst = float(np.abs(found - expected).max())
    failed |= not worst < LIMIT
    print(f"{what:<60} largest difference {worst:.1e}")


def embed(head: dict[str, torch.Tensor], pooled: torch.Tensor) -> torch.Tensor:
    """The embedding head: LayerNorm (epsilon 1e-5), projection, unit length."""
    normed = torch.nn.functional.layer_norm(pooled, pooled.shape[1:], head["norm.weight"], head["norm.bias"], 1e-5)
    return torch.nn.functional.normalize(normed @ head["projection.weight"].T + head["projection.bias"], dim=1)


@torch.no_grad()
def main() -> None:
    for path in sorted(out.glob("*.onnx")):
        probe = load_file(out / f"{path.stem}.probe.safetensors")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        images = probe["images"].numpy()
        found = session.run(["embeddings"], {"images": images})[0]
        report(f"ONNX Runtime, {path.stem}", found, probe["embeddings"].numpy())
        alone = session.run(["embeddings"], {"images": images[:1]})[0]
        report(f"ONNX Runtime, {path.stem}, a batch of one", alone, probe["embeddings"].numpy()[:1])

    probe = load_file(out / "folded.probe.safetensors")
    model = timm.create_model("deit_tiny_patch16_224", num_classes=0).eval()
    model.load_state_dict(load_file(out / "folded.safetensors"), strict=True)
    pooled = model(probe["images"])
    report("timm, folded, pooled token", pooled.numpy(), probe["pooled"].numpy())
    found = embed(load_file(out / "folded.head.safetensors"), pooled)
    report("timm, folded, embedding", found.numpy(), probe["embeddings"].numpy())

    model, problems = AutoModel.from_pretrained(out / "folded-hf", output_loading_info=True)
    complain(problems, "folded")
    pooled = model.eval()(pixel_values=probe["images"]).last_hidden_state[:, 0]
    report("transformers, folded, pooled token", pooled.numpy(), probe["pooled"].numpy())
    found = embed(load_file(out / "folded-hf" / "embedding_head.safetensors"), pooled)
    report("transformers, folded, embedding", found.numpy(), probe["embeddings"].numpy())

    for folder in sorted(out.glob("*-hf")):
        name = folder.name.removesuffix("-hf")
        if name == "folded":
            continue
        probe = load_file(out / f"{name}.probe.safetensors")
        model, problems = AutoModel.from_pretrained(folder, output_loading_info=True)
        complain(problems, name)
        result = model.eval()(pixel_values=probe["images"])
        # CLIP normalizes only its class token, SigLIP pools by attention; both have this name.
        pooled = result.pooler_output if "clip" in name or "siglip" in name else result.last_hidden_state[:, 0]
        report(f"transformers {type(model).__name__}, {name}", pooled.numpy(), probe["pooled"].numpy())


def complain(problems: dict, name: str) -> None:
    global failed
    missing = [key for key in problems["missing_keys"] if "pooler" not in key]
    if missing or problems["unexpected_keys"]:
        failed = True
        print(f"transformers, {name}: missing {missing}, unexpected {problems['unexpected_keys']}")


main()
sys.exit(failed)
