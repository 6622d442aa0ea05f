//! Layers and root file systems.
