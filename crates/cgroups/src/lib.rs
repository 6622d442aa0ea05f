//! Control groups v1, v2 and hybrid, per controller: limits written, figures read.
