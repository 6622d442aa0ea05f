//! Types of the ContainerOS web API.
