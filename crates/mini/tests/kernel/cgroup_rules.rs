//! Which cgroups a container gets, and what is said of limits that are not to be had.

use cgroups::{Cgroup, Controller, Layout};
use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn kernel_a_cgroup_with_processes_or_frozen_is_refused() {
    let Some(first) = Bundle::shell("sleep 1000") else {
        return;
    };
    first.start_detached();
    let path = format!("/{}", first.id);
    let mut second = Bundle::shell("true").unwrap();
    second.config["linux"]["cgroupsPath"] = path.clone().into();
    second
        .create()
        .assert_error(1, "container's cgroup is not empty: 1 process(es) found");
    // The first has not been hurt.
    assert_eq!(first.state()["status"], "running");
    first.delete();

    let layout = Layout::detect().unwrap();
    let cgroup = Cgroup::create(&layout, &path).unwrap();
    cgroup.freeze().unwrap();
    second
        .create()
        .assert_error(1, "container's cgroup unexpectedly frozen");
    cgroup.thaw().unwrap();
    assert_eq!(second.run().status, 0);
    assert!(Cgroup::open(&layout, &path).is_err(), "the cgroup is left");
}

#[test]
fn kernel_a_limit_that_is_not_to_be_had_names_its_controller() {
    let layout = Layout::detect().unwrap();
    let size = "2MB";
    for (controller, key, resources) in [
        (
            Controller::Hugetlb,
            "hugepageLimits",
            json!([{"pageSize": size, "limit": 4 << 20}]),
        ),
        (
            Controller::Rdma,
            "rdma",
            json!({"mlx5_1": {"hcaHandles": 3}}),
        ),
        (Controller::NetCls, "network", json!({"classID": 1_048_577})),
        (
            Controller::NetPrio,
            "network",
            json!({"priorities": [{"name": "lo", "priority": 5}]}),
        ),
    ] {
        let Some(mut bundle) = Bundle::shell("true") else {
            return;
        };
        bundle.config["linux"]["resources"][key] = resources;
        let outcome = bundle.run();
        if layout.of(controller).is_none() {
            outcome.assert_error(1, &format!("cgroup controller `{}`", controller.name()));
        } else if controller != Controller::Rdma {
            assert_eq!(outcome.status, 0, "{outcome:?}");
        } else {
            // The kernel knows no such device.
            outcome.assert_error(1, "rdma.max");
        }
    }
}

#[test]
fn kernel_unset_limits_ask_for_no_controller() {
    let Some(mut bundle) = Bundle::shell("echo done") else {
        return;
    };
    // As Docker writes what is not set.
    bundle.config["linux"]["resources"]["network"] = json!({"classID": 0, "priorities": null});
    bundle.config["linux"]["resources"]["hugepageLimits"] = json!(null);
    bundle.config["linux"]["resources"]["rdma"] = json!({});
    bundle.config["linux"]["resources"]["blockIO"] = json!({"weight": 0, "leafWeight": 0});
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 0});
    bundle.config["linux"]["resources"]["memory"] =
        json!({"limit": 0, "kernel": 0, "useHierarchy": true, "disableOOMKiller": false});
    assert_eq!(bundle.run().output, "done\n");
}

#[test]
fn kernel_cgroups_that_the_container_made_go_with_it() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.start_detached();
    for directory in bundle.cgroup_directories() {
        std::fs::create_dir_all(directory.join("inner/most")).unwrap();
    }
    let pid = bundle.pid();
    for directory in bundle.cgroup_directories() {
        let file = directory.join("inner/most/cgroup.procs");
        // A v1 cpuset without CPUs takes none, and v2 takes none beside controllers.
        std::fs::write(file, pid.to_string()).ok();
    }
    bundle.delete();
}
