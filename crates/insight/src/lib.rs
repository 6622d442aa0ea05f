//! What it means: explanations, rules for errors and risks, comparisons.
