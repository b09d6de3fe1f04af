"""PyTorch's side: does the same work as the example program vs_pytorch, on the same commands from standard input.

    rival.py embed  WEIGHTS INPUTS model=NAME [precision=bf16]
    rival.py train  WEIGHTS START INPUTS model=NAME method=vpt|vptsp-g [precision=bf16]
    rival.py decode FOLDER | search EMBEDDINGS k=1000 | evaluate EMBEDDINGS | peak [precision=bf16]
"""

import os
import sys
import time

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def settings(arguments):
    return dict(a.split("=", 1) for a in arguments if "=" in a), [a for a in arguments if "=" not in a]


class Embed:
    """timm's transformer without its classifier; attention is F.scaled_dot_product_attention."""

    def __init__(self, places, options):
        import torch
        from safetensors.torch import load_file

        self.torch = torch
        self.model = backbone(places[0], options["model"]).eval()
        self.images = load_file(places[1])["images"]
        self.bf16 = options.get("precision") == "bf16"

    def embeddings(self):
        torch = self.torch
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return torch.nn.functional.normalize(self.model(self.images).float(), dim=1)

    def step(self):
        self.embeddings()

    def dump(self, path):
        from safetensors.torch import save_file

        save_file({"embeddings": self.embeddings().clone()}, path)


def backbone(path, model):
    import timm
    from safetensors.torch import load_file

    built = timm.create_model(model, pretrained=False, num_classes=0)
    built.load_state_dict(load_file(path))
    return built


class Train:
    """Deep prompts and biases, or both towers of VPTSP-G, with Proxy-Anchor loss and AdamW, written with timm's blocks."""

    def __init__(self, places, options):
        import torch
        from safetensors.torch import load_file

        self.torch = torch
        self.vit = backbone(places[0], options["model"])
        self.vit.requires_grad_(False)
        for name, parameter in self.vit.named_parameters():
            parameter.requires_grad_("bias" in name)
        start = load_file(places[1])
        inputs = load_file(places[2])
        self.images, self.labels = inputs["images"], inputs["labels"].long()
        self.container = start.pop("container")
        self.semantic = options["method"] == "vptsp-g"
        if not self.semantic:
            start = {n: v for n, v in start.items() if not n.startswith("proxy_tower.")}
        self.added = {name: torch.nn.Parameter(value) for name, value in start.items()}
        trained = [p for p in self.vit.parameters() if p.requires_grad] + list(self.added.values())
        self.optimizer = torch.optim.AdamW(trained, lr=1e-6, weight_decay=1e-4)
        self.bf16 = options.get("precision") == "bf16"

    def run_blocks(self, tokens, prompts):
        torch = self.torch
        for block, rows in zip(self.vit.blocks, prompts):
            if rows is None:
                tokens = block(tokens)
            else:
                joined = torch.cat([rows.expand(tokens.shape[0], -1, -1), tokens], 1)
                tokens = block(joined)[:, rows.shape[1] :]
        return self.vit.norm(tokens)[:, 0]

    def head(self, pooled, name):
        functional, added = self.torch.nn.functional, self.added
        weight, bias = added[f"{name}.norm.weight"], added[f"{name}.norm.bias"]
        pooled = functional.layer_norm(pooled, weight.shape, weight, bias, 1e-5)
        pooled = functional.linear(pooled, added[f"{name}.projection.weight"], added[f"{name}.projection.bias"])
        return functional.normalize(pooled.float(), dim=1)

    def gru(self, p, h):
        torch, w = self.torch, {n: self.added[f"proxy_tower.accumulator.gru.{n}"] for n in
                                ("w_iz", "w_hz", "w_ir", "w_hr", "w_in", "w_hn", "b_iz", "b_ir", "b_in")}
        z = torch.sigmoid(p @ w["w_iz"] + w["b_iz"] + h @ w["w_hz"])
        r = torch.sigmoid(p @ w["w_ir"] + w["b_ir"] + h @ w["w_hr"])
        n = torch.relu(p @ w["w_in"] + w["b_in"] + r * (h @ w["w_hn"]))
        return (1 - z) * n + z * h

    def proxies(self, tokens):
        """Semantic proxies of all classes mixed with the learned ones, and the new proxy memory."""
        torch, functional = self.torch, self.torch.nn.functional
        prompts = [self.added[f"proxy_tower.prompts.tables.{i}"][self.labels] for i in range(len(self.vit.blocks))]
        samples = self.head(self.run_blocks(tokens, prompts), "proxy_tower.head")
        classes = self.labels.unique_consecutive()
        samples = samples.view(len(classes), -1, samples.shape[1])
        state = self.container[classes]
        for i in range(samples.shape[1]):
            state = self.gru(samples[:, i], state)
        container = functional.normalize(self.container.index_copy(0, classes, state), dim=1)
        return 0.5 * self.added["proxies"] + 0.5 * container, container.detach()

    def forward(self):
        torch, functional = self.torch, self.torch.nn.functional
        container = None
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            tokens = self.vit._pos_embed(self.vit.patch_embed(self.images))
            prompts = [self.added[f"encoder.prompts.tables.{i}"] for i in range(len(self.vit.blocks))]
            embeddings = self.head(self.run_blocks(tokens, prompts), "encoder.head")
            proxies = self.added["proxies"]
            if self.semantic:
                proxies, container = self.proxies(tokens)
        proxies = functional.normalize(proxies.float(), dim=1)
        similarity = embeddings @ proxies.T
        own = functional.one_hot(self.labels, len(proxies)).float()
        positive = (torch.exp(-32 * (similarity - 0.1)) * own).sum(0).log1p().sum() / len(proxies)
        negative = (torch.exp(32 * (similarity + 0.1)) * (1 - own)).sum(0).log1p().sum() / len(proxies)
        return positive + negative, embeddings, container

    def step(self):
        self.optimizer.zero_grad()
        loss, _, container = self.forward()
        loss.backward()
        loss.item()
        self.optimizer.step()
        if container is not None:
            self.container = container

    def dump(self, path):
        from safetensors.torch import save_file

        self.optimizer.zero_grad()
        loss, embeddings, _ = self.forward()
        loss.backward()
        found = {"loss": loss.detach().reshape(1), "embeddings": embeddings.detach()}
        for name, parameter in self.vit.named_parameters():
            if parameter.grad is not None:
                found[f"grad.encoder.backbone.{name}"] = parameter.grad.float()
        for name, parameter in self.added.items():
            if parameter.grad is not None:
                found[f"grad.{name}"] = parameter.grad.float()
        save_file({name: value.clone().contiguous() for name, value in found.items()}, path)


class Decode:
    """PIL and torchvision v2, as its documentation recommends: bytes to tensor, resize, crop, scale, normalize."""

    def __init__(self, places, _options):
        import torch
        from torchvision.transforms import v2

        torch.set_num_threads(1)
        self.files = sorted(os.path.join(places[0], name) for name in os.listdir(places[0]))
        self.transform = v2.Compose([
            v2.Resize(256),
            v2.CenterCrop(224),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])

    def read(self, file):
        from PIL import Image

        with Image.open(file) as image:
            return self.transform(image.convert("RGB"))

    def step(self):
        for file in self.files:
            self.read(file)

    def dump(self, path):
        from safetensors.torch import save_file

        save_file({os.path.basename(file): self.read(file).flatten() for file in self.files}, path)


class Search:
    def __init__(self, places, options):
        import faiss
        from safetensors.numpy import load_file

        faiss.omp_set_num_threads(THREADS)
        self.k = int(options["k"])
        self.embeddings = load_file(places[0])["embeddings"]
        self.faiss = faiss

    def search(self):
        index = self.faiss.IndexFlatIP(self.embeddings.shape[1])
        index.add(self.embeddings)
        # One more, because the query finds itself.
        return index.search(self.embeddings, self.k + 1)

    def step(self):
        self.search()

    def dump(self, path):
        from safetensors.numpy import save_file

        similarities, _ = self.search()
        save_file({"similarities": similarities[:256, 1:].copy()}, path)


class Evaluate:
    def __init__(self, places, _options):
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
        from safetensors.torch import load_file
        import torch

        torch.set_num_threads(THREADS)
        data = load_file(places[0])
        self.embeddings, self.labels = data["embeddings"], data["labels"].long()
        self.calculator = AccuracyCalculator(
            include=("precision_at_1", "mean_average_precision_at_r"), k="max_bin_count", device=torch.device("cpu"))

    def evaluate(self):
        return self.calculator.get_accuracy(self.embeddings, self.labels)

    def step(self):
        self.evaluate()

    def dump(self, path):
        import torch
        from safetensors.torch import save_file

        found = self.evaluate()
        save_file({"recall_at_1": torch.tensor([found["precision_at_1"]], dtype=torch.float32),
                   "map_at_r": torch.tensor([found["mean_average_precision_at_r"]], dtype=torch.float32)}, path)


class Peak:
    def __init__(self, _places, options):
        import torch

        dtype = torch.bfloat16 if options.get("precision") == "bf16" else torch.float32
        self.torch = torch
        self.a, self.b = torch.randn(1536, 384).to(dtype), torch.randn(384, 768).to(dtype)
        self.out = torch.empty(1536, 768, dtype=dtype)

    def step(self):
        for _ in range(20):
            self.torch.mm(self.a, self.b, out=self.out)


def peak_memory_kib():
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith("VmHWM"))


def main():
    # Libraries may print to standard output, which must carry only answers.
    answer, sys.stdout = sys.stdout, sys.stderr
    options, places = settings(sys.argv[2:])
    kinds = {"embed": Embed, "train": Train, "decode": Decode, "search": Search, "evaluate": Evaluate, "peak": Peak}
    if sys.argv[1] in ("embed", "train", "peak"):
        import torch

        torch.set_num_threads(THREADS)
    work = kinds[sys.argv[1]](places, options)
    print("ready", file=answer, flush=True)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "steps":
            start = time.perf_counter()
            for _ in range(int(rest)):
                work.step()
            reply = time.perf_counter() - start
        elif command == "dump":
            work.dump(rest)
            reply = "written"
        elif command == "forget":
            with open("/proc/self/clear_refs", "w") as peak:
                peak.write("5")
            reply = "forgotten"
        elif command == "memory":
            reply = peak_memory_kib()
        else:
            sys.exit(f"unknown command {line!r}")
        print(reply, file=answer, flush=True)


main()
