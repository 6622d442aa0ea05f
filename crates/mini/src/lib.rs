//! An OCI runtime and shim: one process becomes one container.
