//! Volumes: directories that outlive their containers.
//!
//! A volume is `volumes/NAME/` with `volume.json`, its record, and `_data`, what containers see. One with driver options
//! is a mount on `_data` while a container that uses it runs.
//!
//! | module | holds |
//! | --- | --- |
//! | `volumes` | all volumes: create, find, show, remove, who uses them |
//! | `options` | driver options, and the mount they stand for |
//! | `content` | what is inside: first filling from an image, size, a directory of it |

mod content;
mod options;
mod volumes;

pub(crate) use volumes::{VolumeRequest, Volumes};
