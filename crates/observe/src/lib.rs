//! What the kernel says about a container: figures, processes, namespaces, mounts, capabilities, seccomp.
