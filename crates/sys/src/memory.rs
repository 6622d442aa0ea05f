//! Where this process's memory is, and what of it the allocator keeps but nobody needs.
//!
//! Only C can ask glibc for the latter; `rustix` has no `set_mempolicy`.

/// Gives free memory of the allocator back to the kernel.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` only touches memory that is free, under the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Says on which NUMA nodes this thread's memory, and that of what it becomes by `execve`, is to be: `mode` is one of
/// `MPOL_*` with its flags, `nodes` a bit mask that begins with node 0.
///
/// # Errors
/// The errno of `set_mempolicy`: `EINVAL` for nodes that are not there, or a mode that the kernel lacks.
///
/// Source: `man 2 set_mempolicy`.
pub fn set_policy(mode: i32, nodes: &[u64]) -> std::io::Result<()> {
    // The kernel reads one bit less than it is told.
    let bits = nodes.len() * 64 + 1;
    let pointer = if nodes.is_empty() {
        std::ptr::null()
    } else {
        nodes.as_ptr()
    };
    let bits = if nodes.is_empty() { 0 } else { bits };
    // SAFETY: the kernel reads `bits - 1` bits from `pointer`, which `nodes` has; none when there are no nodes.
    crate::fd::check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_a_policy_needs_a_node_that_is_there() {
        const MPOL_BIND: i32 = 2;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                set_policy(MPOL_BIND, &[1]).unwrap();
                assert!(set_policy(MPOL_BIND, &[1 << 63]).is_err());
                set_policy(0, &[]).unwrap();
            });
        });
    }
}
