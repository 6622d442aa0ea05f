//! Containers: their records, their life, their output.
