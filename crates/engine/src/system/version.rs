//! What the engine is made of: `/version`.

use std::collections::HashMap;

use bollard_stubs::models::{SystemVersion, SystemVersionComponents, SystemVersionPlatform};

use crate::{
    api::{API_VERSION, MIN_API_VERSION},
    engine::Engine,
    host::Names,
};

/// Version of this engine.
pub(super) const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from and that commit's time, as `make build` names them.
const COMMIT: Option<&str> = option_env!("CONTAINEROS_COMMIT");
const BUILD_TIME: Option<&str> = option_env!("CONTAINEROS_BUILD_TIME");

impl Engine {
    /// Returns the versions of the engine and of its parts. Blocks.
    pub(crate) fn version(&self) -> SystemVersion {
        let names = Names::now();
        let dotted = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let details = [
            ("ApiVersion", dotted(API_VERSION)),
            ("Arch", names.architecture.clone()),
            ("BuildTime", BUILD_TIME.unwrap_or_default().to_owned()),
            ("Experimental", "false".to_owned()),
            ("GitCommit", COMMIT.unwrap_or_default().to_owned()),
            ("KernelVersion", names.kernel.clone()),
            ("MinAPIVersion", dotted(MIN_API_VERSION)),
            ("Os", "linux".to_owned()),
        ];
        let component =
            |name: &str, version: &str, details: HashMap<String, String>| SystemVersionComponents {
                name: name.to_owned(),
                version: version.to_owned(),
                details: Some(details),
            };
        let engine_details = details.map(|(key, value)| (key.to_owned(), value));
        let mini = self.system.mini_version(&self.config.mini_path);
        let path = self.config.mini_path.display().to_string();
        let components = vec![
            component("Engine", ENGINE_VERSION, HashMap::from(engine_details)),
            component("mini", mini, HashMap::from([("Path".to_owned(), path)])),
        ];
        SystemVersion {
            platform: Some(SystemVersionPlatform {
                name: "ContainerOS Mini".to_owned(),
            }),
            components: Some(components),
            version: Some(ENGINE_VERSION.to_owned()),
            api_version: Some(dotted(API_VERSION)),
            min_api_version: Some(dotted(MIN_API_VERSION)),
            git_commit: COMMIT.map(str::to_owned),
            go_version: None,
            os: Some("linux".to_owned()),
            arch: Some(names.architecture),
            kernel_version: Some(names.kernel),
            experimental: None,
            build_time: BUILD_TIME.map(str::to_owned),
        }
    }
}
