"""The network on a GPU with few kernels: each file has one fused kernel beside the plain PyTorch that it equals."""
