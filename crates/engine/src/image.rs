//! Images: the blob store, references, pull, load and save.
