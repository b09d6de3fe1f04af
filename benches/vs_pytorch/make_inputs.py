"""Makes the random weights, images, initial values, photographs and embeddings that both sides read. No download."""

import os

import numpy
import torch
from safetensors.torch import save_file

CLASSES = 100
WIDTHS = {"vit_small_patch16_224": (384, 384), "vit_base_patch16_224": (768, 512)}


def weights(path, model):
    """timm's random initialization, with noise on biases and norms so that no gradient or output is hidden by a zero."""
    import timm

    torch.manual_seed(0)
    state = timm.create_model(model, pretrained=False, num_classes=0).state_dict()
    for name, value in state.items():
        if name.endswith("bias"):
            value.normal_(0, 0.02)
        elif "norm" in name:
            value.normal_(1, 0.05)
    save_file(state, path)


def start(path, model):
    """What tuning adds: prompts, heads, class prompts, GRU, learned proxies, proxy memory; with Kinsight's names."""
    width, embedding = WIDTHS[model]
    generator = torch.Generator().manual_seed(1)
    normal = lambda std, *shape: torch.randn(*shape, generator=generator) * std
    xavier = lambda rows, columns: (torch.rand(rows, columns, generator=generator) * 2 - 1) * (6 / (rows + columns)) ** 0.5
    tensors = {}
    for i in range(12):
        tensors[f"encoder.prompts.tables.{i}"] = normal((2 / (11 * width)) ** 0.5, 1, 10, width)
        tensors[f"proxy_tower.prompts.tables.{i}"] = normal((2 / ((3 + CLASSES) * width)) ** 0.5, CLASSES, 3, width)
    for head in ("encoder.head", "proxy_tower.head"):
        tensors[f"{head}.norm.weight"] = torch.ones(width)
        tensors[f"{head}.norm.bias"] = torch.zeros(width)
        tensors[f"{head}.projection.weight"] = xavier(embedding, width)
        tensors[f"{head}.projection.bias"] = torch.zeros(embedding)
    for name in ("w_iz", "w_hz", "w_ir", "w_hr", "w_in", "w_hn"):
        tensors[f"proxy_tower.accumulator.gru.{name}"] = xavier(embedding, embedding)
    for name in ("b_iz", "b_ir", "b_in"):
        tensors[f"proxy_tower.accumulator.gru.{name}"] = torch.zeros(embedding)
    tensors["proxies"] = xavier(CLASSES, embedding) / 8
    tensors["container"] = torch.nn.functional.normalize(xavier(CLASSES, embedding), dim=1)
    save_file(tensors, path)


def inputs(path, batch):
    """Normalized images, as smooth as photographs, two of each class."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(batch, 3, 14, 14, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=224, mode="bicubic") + 0.2 * torch.randn(
        batch, 3, 224, 224, generator=generator)
    labels = (torch.arange(batch) // 2 * 7) % CLASSES
    save_file({"images": images.contiguous(), "labels": labels.float()}, path)


def photographs(folder, count=48):
    """JPEG files of camera size, smooth with some grain."""
    from PIL import Image

    os.makedirs(folder, exist_ok=True)
    random = numpy.random.default_rng(3)
    for i in range(count):
        width, height = [(500, 375), (640, 480), (1024, 768), (375, 500)][i % 4]
        coarse = random.integers(0, 256, (height // 16, width // 16, 3), dtype=numpy.uint8)
        picture = numpy.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=numpy.int16)
        grain = random.normal(0, 6, picture.shape)
        picture = numpy.clip(picture + grain, 0, 255).astype(numpy.uint8)
        Image.fromarray(picture).save(os.path.join(folder, f"{i:03}.jpg"), quality=90)


def embeddings(path, rows, dim=512, classes=11316):
    """Unit rows around their class's direction, with the size of Stanford Online Products' test set."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.arange(rows) % classes
    centers = torch.randn(classes, dim, generator=generator)
    values = centers[labels] + 1.5 * torch.randn(rows, dim, generator=generator)
    save_file({"embeddings": torch.nn.functional.normalize(values, dim=1), "labels": labels.float()}, path)
