//! Which shell a container has: looked for among its files, so that nothing is started to find out.

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;

use crate::engines::{CallError, Deadline, Engine};

/// In the order of what people like to use.
const SHELLS: [&str; 7] = [
    "/bin/bash",
    "/usr/bin/bash",
    "/usr/local/bin/bash",
    "/bin/ash",
    "/bin/sh",
    "/usr/bin/sh",
    "/busybox/sh",
];

/// Returns the first shell that the container has.
///
/// # Errors
/// [`CallError`] when the engine cannot tell.
pub(crate) async fn find(
    engine: &Engine,
    container: &str,
) -> Result<Option<&'static str>, CallError> {
    for shell in SHELLS {
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(shell)
            .build();
        let seen = engine
            .call(Deadline::Read, |docker| async move {
                docker
                    .get_container_archive_info(container, Some(options))
                    .await
            })
            .await;
        match seen {
            Ok(_) => return Ok(Some(shell)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
