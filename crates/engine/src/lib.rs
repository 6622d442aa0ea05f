//! The Mini engine: the Docker Engine API over our own runtime.
