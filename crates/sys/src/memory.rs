//! Memory of this process that the allocator keeps but nobody needs. Only C can ask glibc for it.

/// Gives free memory of the allocator back to the kernel.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` only touches memory that is free, under the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}
