//! Paths that the container must not see or not change.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn kernel_masked_paths_show_nothing_and_cannot_be_changed() {
    let host = std::fs::metadata("/dev/null").unwrap();
    let Some(mut bundle) = Bundle::shell(
        "for p in /proc/keys /proc/timer_list /proc/kcore; do [ -e $p ] || continue; wc -c <$p; chmod 600 $p 2>&1 | grep -c 'Read-only'; done; \
         for d in /proc/acpi /sys/firmware /proc/scsi /masked; do [ -e $d ] || continue; ls -A $d | wc -l; touch $d/x 2>/dev/null || echo no; done",
    ) else {
        return;
    };
    std::fs::create_dir(bundle.rootfs().join("masked")).unwrap();
    std::fs::write(bundle.rootfs().join("masked/secret"), "x").unwrap();
    bundle.push("/linux/maskedPaths", json!("/masked"));
    bundle.push("/linux/maskedPaths", json!("/does/not/exist"));
    let output = bundle.run().output;
    let lines: Vec<&str> = output.lines().collect();
    let (files, directories): (Vec<_>, Vec<_>) = (
        lines.iter().step_by(2).collect(),
        lines.iter().skip(1).step_by(2).collect(),
    );
    assert!(lines.len() >= 4, "{output}");
    assert!(files.iter().all(|length| **length == "0"), "{output}");
    assert!(
        directories
            .iter()
            .all(|answer| ["1", "no"].contains(answer)),
        "{output}"
    );
    // What covers them is not the host's device.
    let after = std::fs::metadata("/dev/null").unwrap();
    assert_eq!(
        (host.mode(), host.uid(), host.gid()),
        (after.mode(), after.uid(), after.gid())
    );
}

#[test]
fn kernel_read_only_paths_cannot_be_written() {
    let Some(bundle) = Bundle::shell(
        "for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/irq/default_smp_affinity; do \
         [ -e $f ] || continue; (echo x >$f) 2>&1 | grep -c 'Read-only file system'; done",
    ) else {
        return;
    };
    let output = bundle.run().output;
    assert!(output.lines().count() >= 3, "{output}");
    assert!(output.lines().all(|line| line == "1"), "{output}");
}

#[test]
fn kernel_a_mask_holds_where_a_link_leads() {
    // The image may call the masked file by another name; what is masked is what the path leads to.
    let Some(mut bundle) = Bundle::shell("cat /secret/file /link/file; ls -A /link | wc -l") else {
        return;
    };
    std::fs::create_dir(bundle.rootfs().join("secret")).unwrap();
    std::fs::write(bundle.rootfs().join("secret/file"), "told\n").unwrap();
    std::os::unix::fs::symlink("/secret", bundle.rootfs().join("link")).unwrap();
    bundle.push("/linux/maskedPaths", json!("/link"));
    assert_eq!(bundle.run().output, "0\n");
}
