"""MicroK8s as the lab emulates it: the snap's files and services around a Kubernetes API of the lab."""
