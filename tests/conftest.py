import os

import torch
from hypothesis import settings

# Workers share the cores: one thread each is fastest, and sums come out in one order.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("incarnate", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("incarnate")
