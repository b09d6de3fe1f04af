"""The usual service: FastAPI, PyTorch and faiss, with the same backbone and images.

    python rival.py WEIGHTS IMAGES PORT

As in the usual tutorials: one model, all embeddings in an exact faiss index, uploads embedded one by one in the thread
pool. Two intra-op threads, inference mode and scaled-dot-product attention are PyTorch's fastest settings on this machine.
"""

import io
import pathlib
import sys
import threading

import faiss
import numpy as np
import timm
import torch
import uvicorn
from fastapi import FastAPI, File, UploadFile
from PIL import Image
from safetensors.torch import load_file
from torchvision import transforms

weights, images, port = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(2)
model = timm.create_model(pathlib.Path(weights).stem, num_classes=0)
model.load_state_dict({k: v for k, v in load_file(weights).items() if not k.startswith("head")})
model.eval()
prepare = transforms.Compose([
    transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])
turn = threading.Lock()  # otherwise PyTorch's two threads compete for two cores


def embed(pictures):
    batch = torch.stack([prepare(picture.convert("RGB")) for picture in pictures])
    with turn, torch.inference_mode():
        found = model(batch)
        return torch.nn.functional.normalize(found, dim=1).numpy()


files = sorted(path for path in images.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
chunks = [files[i:i + 16] for i in range(0, len(files), 16)]
vectors = np.concatenate([embed([Image.open(path) for path in chunk]) for chunk in chunks])
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
app = FastAPI()


@app.post("/search")
def search(image: UploadFile = File(...), k: int = 10):
    scores, rows = index.search(embed([Image.open(io.BytesIO(image.file.read()))]), k)
    return {"results": [{"path": str(files[row]), "score": float(score)} for row, score in zip(rows[0], scores[0])]}


print("ready", flush=True)
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
