"""thinkube-nornir: from Ubuntu servers to a GPU-ready MicroK8s cluster, concurrently and reversibly."""

__version__ = "0.1.0"
