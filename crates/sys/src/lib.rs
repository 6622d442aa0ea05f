//! Safe wrappers of Linux system calls; the only unsafe code of the workspace.
